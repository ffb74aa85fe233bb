/**
 * Where ASTRA-sim's figures or endings are wrong and ours are not: each a switch. All are off with
 * `--compat astra-sim`, all on by default. Letters name the defect in the conformance notes.
 */
export const repairList = [
  ['routeAllDims', 'messages pay for every dimension in which their ends differ, not the first'],
  ['trueChunks', 'the last chunk has its true size; small collectives are not inflated'],
  ['cutThroughSwitch', 'a switch passes messages on as they come: one serialization, not two'],
  ['groupEndpointDelay', 'groups wait endpoint-delay per packet, not a constant 10 ns'],
  ['groupTags', 'collectives are known by group and sequence, so NPUs outside a group keep step'],
  ['wakeAfterSkip', 'successors of nodes that take no time are issued at once'],
  ['loneMembers', 'a collective without another member ends at once instead of never'],
  ['exactMemory', 'memory bandwidth and latency keep their fractions'],
  ['chunkOrder', 'chunks that lock each other out of queues run again in one order for all NPUs'],
  ['customChunks', 'a custom collective runs once whatever the number of chunks'],
] as const satisfies readonly (readonly [string, string])[];

export type RepairName = (typeof repairList)[number][0];
export type Repairs = Readonly<Record<RepairName, boolean>>;

export function allRepairs(on: boolean): Repairs {
  return Object.fromEntries(repairList.map(([name]) => [name, on])) as Repairs;
}
