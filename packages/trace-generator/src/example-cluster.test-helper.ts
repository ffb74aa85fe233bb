/** A tiny model on a cluster of instances: for tests. */
import { type Cluster, parseModel, resolveCluster } from '@astrolabe/config';
import { tinyModel } from '@astrolabe/config/tiny-model';
import type { Iteration } from './iteration.js';

/** One node with the instances given, as in a cluster file. */
export function exampleCluster(
  instances: readonly object[] = [{}],
  model: object = tinyModel,
): Cluster {
  const entries = instances.map((instance) => ({
    model_name: 'tiny',
    hardware: 'example',
    npu_mem: { mem_size: 24, mem_bw: 1000 },
    ...instance,
  }));
  const nodes = [{ cpu_mem: { mem_size: 64, mem_bw: 100 }, instances: entries }];
  const cxl = { mem_size: 64, mem_bw: 60, mem_latency: 250, num_devices: 2 };
  return resolveCluster({ link_bw: 16, link_latency: 1000, nodes, cxl_mem: cxl }, 'example', {
    findModel: (name) => parseModel(name, model, 'example'),
  });
}

/** One prompt of 8 tokens. */
export const promptOfEight: Iteration = {
  instance: 0,
  iteration: 0,
  releaseNs: 0,
  requests: [0],
  newTokens: [8],
  contextTokens: [0],
};
