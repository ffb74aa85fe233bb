/** The programs of a graph set, each graph compiled once however many NPUs run it. */
import { UserError } from '@astrolabe/base';
import type { ExecutionGraph, GraphSet } from '@astrolabe/chakra';
import type { BufferPool } from './buffer-pool.js';
import { compileProgram, type NodeRules, type Program } from './program.js';

export interface CompiledSet {
  readonly programs: readonly Program[];
  readonly entries: readonly { readonly npu: number; readonly program: Program }[];
}

/** @throws UserError an NPU that the machine does not have, a graph that cannot run */
export function compileSet(
  set: GraphSet,
  rules: NodeRules,
  numNpus: number,
  buffers: BufferPool,
): CompiledSet {
  const at = `iteration ${set.iteration} of instance ${set.instance}`;
  const programs = new Map<ExecutionGraph, Program>();
  const entries: { npu: number; program: Program }[] = [];
  for (const { npus, graph } of set.programs) {
    let program = programs.get(graph);
    if (program === undefined) {
      program = compileProgram(graph, rules, `${at}, NPU ${npus[0]}`, buffers);
      programs.set(graph, program);
    }
    for (const npu of npus) {
      if (npu >= numNpus) throw new UserError(`NPU ${npu}, but the machine has ${numNpus}`, { at });
      entries.push({ npu, program });
    }
  }
  if (entries.length === 0) throw new UserError('no programs', { at });
  return { programs: [...programs.values()], entries };
}
