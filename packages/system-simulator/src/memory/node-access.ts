/** Memory and PIM nodes of a run, handed to the tiers that serve them. */
import { NodeType } from '@astrolabe/chakra';
import { rowOf } from '../feeder/program.js';
import type { Run } from '../feeder/run.js';
import type { MemoryTiers } from './tiers.js';

export function accessMemory(tiers: MemoryTiers, run: Run, node: number, task: number): void {
  const { graph } = run.program;
  const row = rowOf(run.program, node);
  const { tensorLoc, tensorDevice, tensorSizeBytes } = graph;
  const sizeBytes = tensorSizeBytes[row];
  const writes = graph.type[row] === NodeType.memStore;
  const { npu, npus } = run;
  tiers.access(npu, tensorLoc[row], tensorDevice[row], sizeBytes, task, writes, npus.length);
}

export function computeInMemory(tiers: MemoryTiers, run: Run, node: number, task: number): void {
  const { graph, durationNs } = run.program;
  const row = rowOf(run.program, node);
  const { tensorLoc, tensorDevice, tensorChannel, tensorSizeBytes } = graph;
  tiers.pim(
    run.npu,
    tensorLoc[row],
    tensorDevice[row],
    tensorChannel[row],
    durationNs[node],
    tensorSizeBytes[row],
    task,
  );
}
