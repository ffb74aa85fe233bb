/**
 * The figures of ASTRA-sim's report per NPU, as it prints them: unsigned 64-bit, differences wrap.
 * Numbers are ns as decimal text; undefined = not printed.
 */
import type { NpuResult } from './npu-result.js';

export interface Figures {
  readonly finish: string | undefined;
  readonly exposed: string | undefined;
  readonly wall: string | undefined;
  readonly comm: string | undefined;
  readonly gpu: string | undefined;
  readonly overlap: string | undefined;
}

const none: Figures = {
  finish: undefined,
  exposed: undefined,
  wall: undefined,
  comm: undefined,
  gpu: undefined,
  overlap: undefined,
};

export function figuresOf(result: NpuResult): Figures {
  const { finishNs, gpuTicksNs, wallNs, commNs, gpuNs } = result;
  if (Number.isNaN(finishNs)) return none;
  const finish = unsigned(finishNs, 0);
  // Exposed communication is all that is not compute, gaps included.
  const exposed = unsigned(finishNs, gpuTicksNs);
  if (!result.hasStatistics) return { ...none, finish, exposed };
  const both = commNs !== undefined && gpuNs !== undefined;
  const overlap = both ? unsigned(commNs + gpuNs, wallNs) : '0';
  return {
    finish,
    exposed,
    wall: unsigned(wallNs, 0),
    comm: commNs === undefined ? undefined : unsigned(commNs, 0),
    gpu: gpuNs === undefined ? undefined : unsigned(gpuNs, 0),
    overlap: overlap === '0' ? undefined : overlap,
  };
}

/** `a - b` in 64 bits without sign. */
function unsigned(a: number, b: number): string {
  return BigInt.asUintN(64, BigInt(a) - BigInt(b)).toString();
}
