/**
 * A GraphSet (one iteration, symmetric NPUs sharing a program) to one graph per NPU and back. The
 * per-NPU graphs share their columns; only the metadata differs. Order: ascending NPU id.
 */
import { assert, UserError } from '@astrolabe/base';
import { z } from 'zod';
import type { ExecutionGraph, GraphSet, Program } from './graph.js';
import { GraphBuilder } from './graph-builder.js';
import { type Groups, withGroups } from './process-groups.js';
import { readStreamMetadata, type StreamMetadata, writeStreamMetadata } from './stream-metadata.js';

/** One graph per NPU in ascending order of NPU, each with the stream metadata of the set. */
export function expandGraphSet(set: GraphSet): ExecutionGraph[] {
  const programOf = new Map<number, Program>();
  for (const program of set.programs) {
    for (const npu of program.npus) {
      assert(!programOf.has(npu), () => `two programs for NPU ${npu} in one iteration`);
      programOf.set(npu, program);
    }
  }
  const npus = [...programOf.keys()].sort((a, b) => a - b);
  return npus.map((npu) => {
    const { graph } = programOf.get(npu)!;
    const metadata = writeStreamMetadata(
      {
        instance: set.instance,
        npu,
        iteration: set.iteration,
        releaseNs: set.releaseNs,
        lane: set.lane,
        nodeCount: graph.nodeCount,
        npuCount: npus.length,
        groups: set.groups,
      },
      graph.metadata.attributes,
      graph.metadata.version,
    );
    return { ...graph, metadata };
  });
}

/** Asks the machine to run its clock: a graph without nodes, or a control line. */
export const clockRequestSchema = z.strictObject({
  advanceNs: z.number().int().nonnegative(),
  writtenBy: z
    .string()
    .optional()
    .describe('name and version of the program that wrote the graphs, if it says so'),
});
export type ClockRequest = Readonly<z.infer<typeof clockRequestSchema>>;

export function advanceGraph({ advanceNs, writtenBy }: ClockRequest): ExecutionGraph {
  const fields = { nodeCount: 0, advanceNs };
  const named = writtenBy === undefined ? fields : { ...fields, writtenBy };
  return new GraphBuilder(4).finish(writeStreamMetadata(named));
}

/** The request that a graph from `advanceGraph` is, else undefined. */
export function advanceOf(graph: ExecutionGraph): ClockRequest | undefined {
  if (graph.nodeCount > 0) return undefined;
  const { advanceNs, writtenBy } = readStreamMetadata(graph.metadata);
  return advanceNs === undefined ? undefined : { advanceNs, writtenBy };
}

/**
 * Puts per-NPU graphs of a stream together: `push` returns the set when its last NPU's graph came.
 * Sets may be interleaved. Graphs without stream metadata (files of other tools) are taken as
 * iteration 0 of instance 0 and the NPU of their file's name, else NPUs 0, 1, ... in order of
 * arrival; `end` completes their set.
 */
export class GraphSetGatherer {
  private readonly open = new Map<string, OpenSet>();
  private readonly groups: Groups;
  private unnamed = 0;

  /** @param groups of sets whose stream names none; they count before those of the graphs themselves */
  constructor(groups: Groups = {}) {
    this.groups = groups;
  }

  /**
   * @param at place of the graph for errors
   * @param fileNpu NPU of a graph whose metadata names none; default: the next one
   * @throws UserError on a second graph for an NPU
   */
  push(graph: ExecutionGraph, at = 'graph', fileNpu?: number): GraphSet | undefined {
    const fields = readStreamMetadata(graph.metadata, at);
    const npu = fields.npu ?? fileNpu ?? this.unnamed++;
    const key = `${fields.instance ?? 0}/${fields.lane ?? 0}/${fields.iteration ?? 0}`;
    let set = this.open.get(key);
    if (set === undefined) {
      // Without a prototype: a group may be called `constructor`.
      set = { fields, graphs: new Map(), groups: Object.create(null) };
      this.open.set(key, set);
    }
    if (set.graphs.has(npu)) {
      throw new UserError(`second graph for NPU ${npu} in iteration ${fields.iteration ?? 0}`, {
        at,
      });
    }
    if (set.fields.releaseNs !== fields.releaseNs || set.fields.npuCount !== fields.npuCount) {
      throw new UserError('release_ns and npu_count must agree over an iteration', { at });
    }
    addGroups(set.groups, fields.groups, at);
    set.graphs.set(npu, graph);
    if (set.graphs.size !== fields.npuCount) return undefined;
    this.open.delete(key);
    return this.seal(set);
  }

  /**
   * The set of files without `npu_count`, if any.
   * @throws UserError when a set of the stream lacks NPUs
   */
  end(at = 'end of input'): GraphSet | undefined {
    let last: GraphSet | undefined;
    for (const set of this.open.values()) {
      const { npuCount, iteration, instance } = set.fields;
      if (npuCount !== undefined || last !== undefined) {
        throw new UserError(
          `iteration ${iteration ?? 0} of instance ${instance ?? 0} is not complete: ` +
            `graphs of ${set.graphs.size} of ${npuCount ?? 'unknown'} NPUs`,
          { at },
        );
      }
      last = this.seal(set);
    }
    this.open.clear();
    return last;
  }

  private seal(set: OpenSet): GraphSet {
    const npus = [...set.graphs.keys()].sort((a, b) => a - b);
    const programs = npus.map((npu) => ({ npus: [npu], graph: set.graphs.get(npu)! }));
    return {
      instance: set.fields.instance ?? 0,
      iteration: set.fields.iteration ?? 0,
      releaseNs: set.fields.releaseNs ?? 0,
      lane: set.fields.lane ?? 0,
      ...withGroups(programs, { ...this.groups, ...set.groups }),
    };
  }
}

interface OpenSet {
  readonly fields: StreamMetadata;
  readonly graphs: Map<number, ExecutionGraph>;
  readonly groups: Record<string, readonly number[]>;
}

/** @throws UserError a group that an earlier graph of the iteration has with other members */
function addGroups(known: OpenSet['groups'], more: StreamMetadata['groups'], at: string): void {
  for (const [name, members] of Object.entries(more ?? {})) {
    const before = known[name];
    if (before !== undefined && before.join() !== members.join()) {
      throw new UserError(
        `group "${name}" is [${members}] here and [${before}] in another graph of the iteration`,
        { at, hint: 'every group of an iteration needs a name of its own' },
      );
    }
    known[name] = members;
  }
}
