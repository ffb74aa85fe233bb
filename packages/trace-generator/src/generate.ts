/**
 * The generator: iterations in, graphs out. Everything that does not depend on the batch is decided
 * at construction (operators, sharding, groups, node names and edges); an iteration costs about
 * twenty lookups and copies of the number columns.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { type GraphSet, StringTable } from '@astrolabe/chakra';
import {
  type Calibration,
  type Cluster,
  type ExpertSettings,
  expertOptionsSchema,
  type Instance,
  memoryOfStage,
  noCalibration,
} from '@astrolabe/config';
import type { LatencyModel } from '@astrolabe/profile';
import { engineKernels } from './engine-kernels.js';
import { expertPeers, planGroups } from './groups.js';
import { type FfnDevice, InstanceGenerator, type StageDevice } from './instance-generator.js';
import { checkIteration, type Iteration } from './iteration.js';
import { kvDtype } from './kv-dtype.js';
import type { Transfer } from './kv-transfer.js';
import type { ExpertRouter } from './moe/expert-loads.js';
import { lowerMoves } from './moves.js';
import { cappedClock, powerCapOf } from './power-cap.js';
import { parseTerms, type TermSwitches, type Terms } from './terms.js';
import { createTransferGenerator } from './transfer-generator.js';

export interface TraceGeneratorOptions {
  readonly cluster: Cluster;
  readonly latencyModelFor: (instance: Instance) => LatencyModel;
  readonly calibration?: Calibration;
  readonly terms?: TermSwitches;
  /** Win over the cluster file's. */
  readonly experts?: ExpertSettings;
  /** Of instances whose expert routing is `module`. */
  readonly expertRouterFor?: (instance: Instance) => ExpertRouter | undefined;
}

export interface TraceGenerator {
  readonly terms: Terms;
  /** @throws UserError an iteration that does not fit the cluster */
  generate(iteration: Iteration): GraphSet;
  /** @throws UserError instances that cannot hand KV over to each other */
  generateTransfer(transfer: Transfer): GraphSet;
}

/** @throws UserError naming what a profile lacks for an instance */
export function createTraceGenerator(options: TraceGeneratorOptions): TraceGenerator {
  const { cluster, calibration = noCalibration } = options;
  const terms = parseTerms(options.terms);
  const latencyModelFor = (instance: Instance): LatencyModel =>
    cappedClock(
      engineKernels(kvDtype(options.latencyModelFor(instance), instance, terms), instance, terms),
      instance,
      powerCapOf(cluster, instance),
    );
  const groups = planGroups(cluster);
  const instances = cluster.instances.map(
    (instance) =>
      new InstanceGenerator({
        cluster,
        instance,
        stages: stageDevices(instance, latencyModelFor, calibration, terms),
        ffn: ffnDevice(instance, latencyModelFor),
        groups: groups[instance.index],
        peers: expertPeers(cluster, instance),
        terms,
        experts: parseWith(
          expertOptionsSchema,
          { ...instance.experts, ...options.experts },
          'expert options',
        ),
        expertRouter: options.expertRouterFor?.(instance),
      }),
  );
  const moveStrings = new StringTable();
  return {
    terms,
    generateTransfer: createTransferGenerator(cluster),
    generate: (iteration) => {
      checkIteration(iteration);
      const generator = instances[iteration.instance];
      if (generator === undefined) {
        throw new UserError(
          `instance ${iteration.instance} is unknown: the cluster has ${instances.length}`,
        );
      }
      const { lane = 0, moves } = iteration;
      if (moves !== undefined) return lowerMoves({ ...iteration, lane, moves }, moveStrings);
      return generator.generate(iteration);
    },
  };
}

/** The devices of every pipeline stage; stages of the same hardware and memory share one. */
function stageDevices(
  instance: Instance,
  latencyModelFor: TraceGeneratorOptions['latencyModelFor'],
  calibration: Calibration,
  terms: Terms,
): StageDevice[] {
  const devices = new Map<string, StageDevice>();
  return Array.from({ length: instance.pp }, (_, stage) => {
    const hardware = instance.stageHardware?.[stage] ?? instance.hardware;
    const memory = memoryOfStage(instance, stage);
    const known = calibration.devices[hardware];
    const key = `${hardware} ${JSON.stringify(memory)}`;
    const device = devices.get(key) ?? {
      latency: latencyModelFor({ ...instance, hardware, memory }),
      stepOverhead: {
        perStepNs: known?.step_overhead_ns ?? 0,
        perSequenceNs: known?.step_overhead_per_sequence_ns ?? 0,
      },
      decodeTail: terms.decodeTail ?? (known === undefined || known.decode_tail === true),
    };
    devices.set(key, device);
    return device;
  });
}

/** The instance as its feed-forward devices see it, with their times. */
function ffnDevice(
  instance: Instance,
  latencyModelFor: TraceGeneratorOptions['latencyModelFor'],
): FfnDevice | undefined {
  const { ffn } = instance;
  if (ffn === undefined) return undefined;
  const { hardware, tp, npus, memory } = ffn;
  const seen: Instance = { ...instance, hardware, tp, npus, memory };
  return { instance: seen, latency: latencyModelFor(seen), microBatches: ffn.microBatches };
}
