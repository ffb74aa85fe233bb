/**
 * One iteration's graphs as files, named by one NDJSON line: what goes over the wire where stages hand
 * each other files instead of a graph stream. NPU n's graph is `<prefix>.<n>.et`. Enough is said in
 * the line itself for a stage that reads no protobuf. Times ns.
 */
import { z } from 'zod';
import type { ExecutionGraph, GraphSet } from './graph.js';
import { NodeType } from './node-type.js';
import { groupsSchema } from './stream-metadata.js';

const count = z.number().int().nonnegative();

export const graphFilesSchema = z
  .strictObject({
    instance: count,
    iteration: count,
    lane: count.describe('graphs of one NPU on one lane run one after another'),
    releaseNs: count.describe('nothing of it starts earlier'),
    prefix: z.string().min(1).describe('NPU n runs <prefix>.<n>.et'),
    npus: z.array(count).min(1).describe('the NPUs it runs on, ascending'),
    nodes: count.describe('nodes of all its graphs'),
    computeNs: count.describe('sum of compute durations on its busiest NPU'),
    commBytes: z
      .number()
      .nonnegative()
      .describe('sizes of communication nodes on that NPU, summed'),
    groups: groupsSchema,
  })
  .describe('GraphFiles: where the graphs of one iteration lie');

export type GraphFiles = z.infer<typeof graphFilesSchema>;

/** The control line for a set whose files are written under `prefix`. */
export function describeGraphFiles(set: GraphSet, prefix: string): GraphFiles {
  let nodes = 0;
  let computeNs = 0;
  let commBytes = 0;
  for (const { graph, npus } of set.programs) {
    nodes += graph.nodeCount * npus.length;
    const work = workOf(graph);
    if (work.computeNs < computeNs) continue;
    ({ computeNs, commBytes } = work);
  }
  return {
    instance: set.instance,
    iteration: set.iteration,
    lane: set.lane,
    releaseNs: set.releaseNs,
    prefix,
    npus: set.programs.flatMap(({ npus }) => npus).sort((a, b) => a - b),
    nodes,
    computeNs,
    commBytes,
    groups: Object.fromEntries(
      Object.entries(set.groups).map(([name, members]) => [name, [...members]]),
    ),
  };
}

function workOf(graph: ExecutionGraph): { computeNs: number; commBytes: number } {
  let computeNs = 0;
  let commBytes = 0;
  for (let node = 0; node < graph.nodeCount; node++) {
    if (graph.type[node] === NodeType.comp) computeNs += graph.durationNs[node];
    commBytes += graph.commSizeBytes[node];
  }
  return { computeNs, commBytes };
}

/** `<prefix>.<npu>.et`, as ASTRA-sim names them. */
export function graphFileName(prefix: string, npu: number): string {
  return `${prefix}.${npu}.et`;
}
