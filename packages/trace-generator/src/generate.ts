/**
 * The generator: iterations in, graphs out. Everything that does not depend on the batch is decided
 * at construction (operators, sharding, groups, node names and edges); an iteration costs about
 * twenty lookups and copies of the number columns.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { type GraphSet, type Program, StringTable } from '@astrolabe/chakra';
import { type Calibration, type Cluster, type Instance, noCalibration } from '@astrolabe/config';
import type { LatencyModel } from '@astrolabe/profile';
import { Batch } from './batch.js';
import { captureSizes, paddingTable, padTokens } from './capture-sizes.js';
import { instantiate, type Template } from './chain.js';
import { expertPeers, planGroups, type StageGroups, stageNpus } from './groups.js';
import { checkIteration, type Iteration } from './iteration.js';
import { type Lowering, lowerStage } from './lower.js';
import { type MoeOptions, type MoeSettings, moeOptionsSchema } from './moe/moe-options.js';
import { planExperts } from './moe/plan-experts.js';
import { chooseSequence } from './operators.js';
import { padWave } from './pad-wave.js';
import { evaluate, QuantityTable, type Step } from './quantities.js';
import { parseTerms, type TermSwitches, type Terms } from './terms.js';

export interface TraceGeneratorOptions {
  readonly cluster: Cluster;
  readonly latencyModelFor: (instance: Instance) => LatencyModel;
  readonly calibration?: Calibration;
  readonly terms?: TermSwitches;
  readonly moe?: MoeSettings;
}

export interface TraceGenerator {
  readonly terms: Terms;
  /** @throws UserError an iteration that does not fit the cluster */
  generate(iteration: Iteration): GraphSet;
}

/** @throws UserError naming what a profile lacks for an instance */
export function createTraceGenerator(options: TraceGeneratorOptions): TraceGenerator {
  const { cluster, calibration = noCalibration } = options;
  const terms = parseTerms(options.terms);
  const moe = parseWith(moeOptionsSchema, options.moe ?? {}, 'moe options');
  const groups = planGroups(cluster);
  const instances = cluster.instances.map(
    (instance) =>
      new InstanceGenerator({
        instance,
        latency: options.latencyModelFor(instance),
        groups: groups[instance.index],
        peers: expertPeers(cluster, instance),
        terms,
        moe,
        stepOverheadNs: calibration.devices[instance.hardware]?.step_overhead_ns ?? 0,
      }),
  );
  return {
    terms,
    generate: (iteration) => {
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
  readonly instance: Instance;
  readonly latency: LatencyModel;
  readonly groups: readonly StageGroups[];
  /** Data-parallel ranks that step together, itself included. */
  readonly peers: readonly Instance[];
  readonly terms: Terms;
  readonly moe: MoeOptions;
  readonly stepOverheadNs: number;
}

/** Which NPUs run which template. */
interface Placed {
  readonly npus: readonly number[];
  readonly template: Template;
}

class InstanceGenerator {
  private readonly options: InstanceOptions;
  private readonly lowering: Lowering;
  private readonly padding: Int32Array | undefined;
  private readonly groupMembers: Readonly<Record<string, readonly number[]>>;
  private readonly plain: readonly Placed[];
  private warm: readonly Placed[] | undefined;
  private readonly step: Step;
  private values = new Float64Array(0);

  constructor(options: InstanceOptions) {
    const { instance, latency, terms, stepOverheadNs, groups, peers, moe } = options;
    this.options = options;
    const experts = planExperts(instance, peers.length, moe);
    this.step = {
      batch: new Batch(),
      latency,
      tp: instance.tp,
      warmUpNs: 0,
      experts,
      draw: { group: peers[0].index, wave: 0 },
    };
    const quantities = new QuantityTable();
    quantities.add({ kind: 'constant', value: 0 });
    this.lowering = {
      instance,
      sequence: chooseSequence(instance, latency),
      quantities,
      terms,
      stepOverheadNs,
      strings: new StringTable(),
      moe,
      layersDiffer: experts?.loads.layersDiffer ?? false,
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
    this.plain = this.place(false);
  }

  generate(iteration: Iteration): GraphSet {
    const warmUpNs = this.options.terms.warmUp ? (iteration.warmUpNs ?? 0) : 0;
    const placed = warmUpNs > 0 ? this.placedWarm() : this.plain;
    checkIteration(iteration);
    this.read(iteration);
    this.step.warmUpNs = warmUpNs;
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

  /** Built at first use: only the first iteration of an instance warms up. */
  private placedWarm(): readonly Placed[] {
    this.warm ??= this.place(true);
    return this.warm;
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
  private place(warmUp: boolean): Placed[] {
    const { instance, groups, peers } = this.options;
    const { experts } = this.step;
    const ranksDiffer = experts?.loads.ranksDiffer ?? false;
    const firstRank = peers.indexOf(instance) * instance.tp;
    const placed: Placed[] = [];
    for (let stage = 0; stage < instance.pp; stage++) {
      const npus = stageNpus(instance, stage);
      const alike = instance.pp === 1 && !ranksDiffer;
      const ranks = alike ? [0] : npus.map((_, rank) => rank);
      for (const rank of ranks) {
        const expertRank = ranksDiffer
          ? Math.floor((firstRank + rank) / (experts?.slices ?? 1))
          : 0;
        const position = { stage, rank, groups: groups[stage], expertRank, warmUp };
        const template = lowerStage(this.lowering, position);
        placed.push({ npus: alike ? npus : [npus[rank]], template });
      }
    }
    return placed;
  }
}
