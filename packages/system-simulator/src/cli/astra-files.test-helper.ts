/** What ASTRA-sim's command line says where tests say nothing else. */
import type { AstraFiles } from './astra-inputs.js';

export const defaultOptions: Omit<
  AstraFiles,
  'workload' | 'system' | 'network' | 'remoteMemory' | 'repairs'
> = {
  groups: 'empty',
  backend: 'congestion-unaware',
  mode: 'default',
  dialect: 'upstream',
  queuesPerDim: 1,
  injectionScale: 1,
  rendezvous: false,
};
