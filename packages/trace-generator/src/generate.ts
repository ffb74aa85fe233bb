/**
 * The generator: iterations in, graphs out. Everything that does not depend on the batch is decided
 * at construction (operators, sharding, groups, node names and edges); an iteration costs about
 * twenty lookups and copies of the number columns.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { type GraphSet, type Program, StringTable } from '@astrolabe/chakra';
import {
  type Calibration,
  type Cluster,
  type ExpertOptions,
  type ExpertSettings,
  expertOptionsSchema,
  type Instance,
  noCalibration,
  weightPlacement,
} from '@astrolabe/config';
import type { LatencyModel } from '@astrolabe/profile';
import { Batch } from './batch.js';
import { captureSizes, paddingTable, padTokens } from './capture-sizes.js';
import { instantiate, type Template } from './chain.js';
import { expertPeers, planGroups, type StageGroups, stageNpus } from './groups.js';
import { checkIteration, type Iteration, type KvSend } from './iteration.js';
import { type KvLink, planKvLinks } from './kv-links.js';
import type { Transfer } from './kv-transfer.js';
import { type Lowering, lowerStage } from './lower.js';
import { planExperts } from './moe/plan-experts.js';
import { lowerMoves } from './moves.js';
import { chooseSequence } from './operators.js';
import { padWave } from './pad-wave.js';
import { evaluate, QuantityTable, type Step } from './quantities.js';
import { parseTerms, type TermSwitches, type Terms } from './terms.js';
import { createTransferGenerator, kvPair } from './transfer-generator.js';
import { checkPlacement } from './weights.js';

export interface TraceGeneratorOptions {
  readonly cluster: Cluster;
  readonly latencyModelFor: (instance: Instance) => LatencyModel;
  readonly calibration?: Calibration;
  readonly terms?: TermSwitches;
  /** Win over the cluster file's. */
  readonly experts?: ExpertSettings;
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
  const groups = planGroups(cluster);
  const instances = cluster.instances.map(
    (instance) =>
      new InstanceGenerator({
        cluster,
        instance,
        latency: options.latencyModelFor(instance),
        groups: groups[instance.index],
        peers: expertPeers(cluster, instance),
        terms,
        experts: parseWith(
          expertOptionsSchema,
          { ...instance.experts, ...options.experts },
          'expert options',
        ),
        stepOverheadNs: calibration.devices[instance.hardware]?.step_overhead_ns ?? 0,
      }),
  );
  const moveStrings = new StringTable();
  return {
    terms,
    generateTransfer: createTransferGenerator(cluster),
    generate: (iteration) => {
      const { lane = 0, moves } = iteration;
      if (moves !== undefined) return lowerMoves({ ...iteration, lane, moves }, moveStrings);
      const generator = instances[iteration.instance];
      if (generator === undefined) {
        throw new UserError(
          `instance ${iteration.instance} is unknown: the cluster has ${instances.length}`,
        );
      }
      return generator.generate(iteration);
    },
  };
}

interface InstanceOptions {
  readonly cluster: Cluster;
  readonly instance: Instance;
  readonly latency: LatencyModel;
  readonly groups: readonly StageGroups[];
  /** Data-parallel ranks that step together, itself included. */
  readonly peers: readonly Instance[];
  readonly terms: Terms;
  readonly experts: ExpertOptions;
  readonly stepOverheadNs: number;
}

/** Which NPUs run which template. */
interface Placed {
  readonly npus: readonly number[];
  readonly template: Template;
}

const plainKey = '';
/** Templates kept: a busy prefill instance meets ever new lists of destinations. */
const maxVariants = 64;

class InstanceGenerator {
  private readonly options: InstanceOptions;
  private readonly lowering: Lowering;
  private readonly padding: Int32Array | undefined;
  private readonly groupMembers: Readonly<Record<string, readonly number[]>>;
  /** By what the iteration carries: see `placedFor`. */
  private readonly variants = new Map<string, readonly Placed[]>();
  private readonly step: Step;
  private values = new Float64Array(0);

  constructor(options: InstanceOptions) {
    const { instance, latency, terms, stepOverheadNs, groups, peers } = options;
    this.options = options;
    const experts = planExperts(instance, peers.length, options.experts);
    this.step = {
      batch: new Batch(),
      latency,
      tp: instance.tp,
      warmUpNs: 0,
      experts,
      kvSends: [],
      draw: { group: peers[0].index, wave: 0 },
    };
    const sequence = chooseSequence(instance, latency);
    checkPlacement(options.cluster, instance, sequence);
    const quantities = new QuantityTable();
    quantities.add({ kind: 'constant', value: 0 });
    this.lowering = {
      instance,
      sequence,
      quantities,
      terms,
      stepOverheadNs,
      strings: new StringTable(),
      experts,
      expertOptions: options.experts,
      placement: weightPlacement(instance.placement),
    };
    const { maxNumSeqs, maxNumBatchedTokens } = instance.engine;
    this.padding = terms.cudaGraphPadding
      ? paddingTable(captureSizes(maxNumSeqs, maxNumBatchedTokens))
      : undefined;
    this.groupMembers = Object.fromEntries(
      groups
        .flatMap(({ tensor, expert }) => [tensor, expert])
        .filter((group) => group !== undefined)
        .map(({ name, npus }) => [name, npus]),
    );
    this.variants.set(plainKey, this.place(false, []));
  }

  generate(iteration: Iteration): GraphSet {
    const warmUpNs = this.options.terms.warmUp ? (iteration.warmUpNs ?? 0) : 0;
    checkIteration(iteration);
    const placed = this.placedFor(warmUpNs > 0, iteration.kvSends ?? []);
    this.read(iteration);
    this.step.warmUpNs = warmUpNs;
    this.step.kvSends = iteration.kvSends ?? [];
    this.evaluate();
    return {
      instance: iteration.instance,
      iteration: iteration.iteration,
      releaseNs: iteration.releaseNs,
      lane: 0,
      programs: placed.map(
        (entry): Program => ({
          npus: entry.npus,
          graph: instantiate(entry.template, this.values),
        }),
      ),
      groups: this.groupMembers,
    };
  }

  /** Structure depends on a warm-up and on the instances that KV goes to; built at first use. */
  private placedFor(warmUp: boolean, kvSends: readonly KvSend[]): readonly Placed[] {
    const key =
      warmUp || kvSends.length > 0
        ? `${warmUp ? 'warm' : ''}${kvSends.map(({ to }) => ` ${to}`).join('')}`
        : plainKey;
    let placed = this.variants.get(key);
    if (placed === undefined) {
      if (this.variants.size >= maxVariants) this.variants.clear();
      const links = kvSends.map(({ to }) => {
        const [source, target] = kvPair(this.options.cluster, this.options.instance.index, to);
        return planKvLinks(source, target);
      });
      placed = this.place(warmUp, links);
      this.variants.set(key, placed);
    }
    return placed;
  }

  private read(iteration: Iteration): void {
    const { peers } = this.options;
    const { batch, draw } = this.step;
    batch.read(iteration);
    if (!this.options.terms.decodeSkew) batch.levelDecodes();
    draw.wave = iteration.wave ?? iteration.iteration;
    if (iteration.waveTokens === undefined) {
      batch.tokens = this.padded(Math.max(batch.realTokens, iteration.paddedTokens ?? 0));
      batch.groupTokens = batch.tokens * peers.length;
      return;
    }
    const own = peers.findIndex(({ index }) => index === iteration.instance);
    padWave(iteration.waveTokens, own, peers.length, batch, this.padding);
  }

  private padded(tokens: number): number {
    return this.padding === undefined ? tokens : padTokens(this.padding, tokens);
  }

  private evaluate(): void {
    const { list } = this.lowering.quantities;
    if (this.values.length < list.length) this.values = new Float64Array(list.length);
    for (let i = 0; i < list.length; i++) this.values[i] = evaluate(list[i], this.step);
  }

  /** One template per stage; one per rank where ranks name different peers or hold other experts. */
  private place(warmUp: boolean, kvLinks: readonly (readonly KvLink[])[]): Placed[] {
    const { instance, groups, peers } = this.options;
    const { experts } = this.step;
    const ranksDiffer = experts?.loads.ranksDiffer ?? false;
    const firstRank = peers.indexOf(instance) * instance.tp;
    const placed: Placed[] = [];
    for (let stage = 0; stage < instance.pp; stage++) {
      const npus = stageNpus(instance, stage);
      const alike = instance.pp === 1 && !ranksDiffer && kvLinks.length === 0;
      const ranks = alike ? [0] : npus.map((_, rank) => rank);
      for (const rank of ranks) {
        const expertRank = ranksDiffer
          ? Math.floor((firstRank + rank) / (experts?.slices ?? 1))
          : 0;
        const kvSends = kvLinks.map((links) => links.filter(({ src }) => src === npus[rank]));
        const position = { stage, rank, groups: groups[stage], expertRank, warmUp, kvSends };
        const template = lowerStage(this.lowering, position);
        placed.push({ npus: alike ? npus : [npus[rank]], template });
      }
    }
    return placed;
  }
}
