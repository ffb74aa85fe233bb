/**
 * Folding: NPUs that begin one program together and do the same all along run as one. A fast path;
 * every node and message is looked at for what could tell the NPUs apart.
 */
import type { GroupCollectives } from './collectives/group-collectives.js';
import type { Group } from './collectives/group-table.js';
import type { CollectiveKind } from './collectives/phase.js';
import { Op, type Program, rowOf } from './feeder/program.js';
import { groupByRow, type SetState } from './machine-state.js';
import type { MemoryTiers } from './memory/tiers.js';

/** The parts of a machine that could tell NPUs apart. */
interface FoldContext {
  /** Factor on compute durations by NPU; absent: all 1. */
  readonly slowdown: readonly number[] | undefined;
  readonly collectives: GroupCollectives;
  readonly memory: MemoryTiers;
}

/** @param npus all that run the program, beginning now */
export function behaveAlike(
  state: SetState,
  program: Program,
  npus: readonly number[],
  { slowdown, collectives, memory }: FoldContext,
): boolean {
  if (npus.length < 2 || program.hasPointToPoint) return false;
  if (slowdown !== undefined && npus.some((npu) => slowdown[npu] !== slowdown[npus[0]])) {
    return false;
  }
  const { graph } = program;
  const endsTogether = (row: number): boolean => {
    const group = groupByRow(state, graph, row);
    if (group === undefined || !isExactly(group, npus) || group.sites.size > 0) return false;
    const kind = graph.commType[row] as CollectiveKind;
    return !Number.isNaN(collectives.togetherNs(group, kind, graph.commSizeBytes[row]));
  };
  for (let node = 0; node < program.nodeCount; node++) {
    const op = program.op[node];
    const row = rowOf(program, node);
    if (op === Op.pim) return false;
    if (op === Op.memory && !memory.isUncontended(graph.tensorLoc[row])) return false;
    if (op === Op.collective && !endsTogether(row)) return false;
  }
  return true;
}

/** The group consists of these NPUs and no others. */
export function isExactly({ members, indexOf }: Group, npus: readonly number[]): boolean {
  return members.length === npus.length && npus.every((npu) => indexOf.has(npu));
}
