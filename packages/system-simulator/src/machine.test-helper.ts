/** For tests: machines and graphs small enough to work out by hand. */
import {
  type ExecutionGraph,
  GraphBuilder,
  type GraphSet,
  NodeType,
  type Program,
} from '@astrolabe/chakra';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Completion } from './completion.js';
import { createMachine } from './machine.js';
import { type MachineSpec, ringCollectives } from './machine-spec.js';

export const linkBandwidthGBps = 50;
/** Bytes per ns of a link of 50 GB/s of 2^30. */
export const beta = 53.6870912;

export function spec(numNpus: number, changes: Partial<MachineSpec> = {}): MachineSpec {
  return {
    numNpus,
    network: {
      congestion: 'unaware',
      dims: [
        { kind: 'FullyConnected', npus: numNpus, bandwidthGBps: linkBandwidthGBps, latencyNs: 500 },
      ],
    },
    collectives: ringCollectives,
    splits: 1,
    activeChunks: 1,
    endpointDelayNs: 10,
    localMemoryBandwidthGBps: 50,
    memory: {
      local: { latencyNs: 0, bandwidthGBps: 1000, contention: 'none', numDevices: numNpus },
      remote: { latencyNs: 100, bandwidthGBps: 50, contention: 'device', numDevices: 2 },
    },
    ...changes,
  };
}

/** Compute nodes one after another. */
export function chain(...durations: number[]): ExecutionGraph {
  const builder = new GraphBuilder();
  for (const duration of durations) compute(builder, duration);
  return builder.finish();
}

export function compute(
  builder: GraphBuilder,
  durationNs: number,
  after = builder.nodeCount - 1,
): number {
  const node = builder.addNode(NodeType.comp, 'compute');
  builder.setDuration(node, durationNs);
  if (after >= 0) builder.addDep(node, after);
  return node;
}

export function collective(
  builder: GraphBuilder,
  type: number,
  sizeBytes: number,
  group = '',
): number {
  const node = builder.addNode(NodeType.commColl, 'collective');
  builder.setCollective(node, type, sizeBytes);
  if (group !== '') builder.setGroup(node, group);
  if (node > 0) builder.addDep(node, node - 1);
  return node;
}

export function set(
  iteration: number,
  programs: readonly Program[],
  changes: Partial<GraphSet> = {},
): GraphSet {
  return { instance: 0, iteration, releaseNs: 0, lane: 0, groups: {}, programs, ...changes };
}

export function replay(machineSpec: MachineSpec, sets: readonly GraphSet[]): Completion[] {
  const machine = createMachine(machineSpec);
  for (const one of sets) machine.submit(one);
  const done: Completion[] = [];
  for (;;) {
    const completion = machine.runUntil(Number.MAX_SAFE_INTEGER);
    if (completion === undefined) break;
    done.push(completion);
  }
  expect(machine.stuck().lines).toEqual([]);
  return done;
}

export const sizes = fc.constantFrom(1, 7, 4096, 65_536, 1_048_576);
