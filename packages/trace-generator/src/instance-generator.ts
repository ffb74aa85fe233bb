/**
 * Graphs of one instance. Structure is decided at construction and kept in templates; an iteration
 * fills in its numbers. A "step" is what times are computed from: a batch, or a part of one, on one
 * kind of device.
 */
import { type GraphSet, type Program, StringTable } from '@astrolabe/chakra';
import {
  type Cluster,
  type ExpertOptions,
  type Instance,
  weightPlacement,
} from '@astrolabe/config';
import type { LatencyModel } from '@astrolabe/profile';
import {
  checkFfnMemory,
  type Disaggregated,
  lowerAttentionRank,
  lowerFfnRank,
} from './attention-ffn.js';
import { Batch } from './batch.js';
import { noPadding, type PaddingTables, paddingTables } from './batch-padding.js';
import { padTokens } from './capture-sizes.js';
import { instantiate, type Template } from './chain.js';
import { chooseSequence } from './choose-sequence.js';
import { type StageGroups, stageNpus } from './groups.js';
import type { Iteration } from './iteration.js';
import { type KvLink, planKvLinks } from './kv-links.js';
import { LocalBatch } from './local-attention.js';
import {
  type Lowering,
  lowerInterleaved,
  lowerStage,
  noOverhead,
  type Position,
  type StepOverhead,
} from './lower.js';
import type { Draw, ExpertRouter } from './moe/expert-loads.js';
import { isShared, sharedStreamTokens } from './moe/lower-experts.js';
import { planExperts } from './moe/plan-experts.js';
import { padWave } from './pad-wave.js';
import { checkInterleaving, type PimCost, pimCost } from './pim.js';
import { type ExpertBlock, evaluate, QuantityTable, type Step } from './quantities.js';
import type { Sequence } from './sequences.js';
import type { Terms } from './terms.js';
import { kvPair } from './transfer-generator.js';
import { checkPlacement } from './weights.js';

export interface StageDevice {
  readonly latency: LatencyModel;
  readonly stepOverhead: StepOverhead;
  /** Decodes wait for the longest of them (`decodeTail`). */
  readonly decodeTail: boolean;
}

export interface FfnDevice {
  /** With hardware, TP and NPUs of the feed-forward devices. */
  readonly instance: Instance;
  readonly latency: LatencyModel;
  readonly microBatches: number;
}

interface InstanceOptions {
  readonly cluster: Cluster;
  readonly instance: Instance;
  readonly stages: readonly StageDevice[];
  readonly ffn: FfnDevice | undefined;
  readonly groups: readonly StageGroups[];
  /** Data-parallel ranks that step together, itself included. */
  readonly peers: readonly Instance[];
  readonly terms: Terms;
  readonly experts: ExpertOptions;
  readonly expertRouter: ExpertRouter | undefined;
}

/** Which NPUs run which template. */
interface Placed {
  readonly npus: readonly number[];
  readonly template: Template;
}

/** What of an iteration decides its structure. */
interface Shape {
  readonly warmUp: boolean;
  readonly sharedBeside: boolean;
  readonly rearranges: boolean;
  /** Instances that KV goes to, in order of the sends. */
  readonly kvTo: readonly number[];
  /** Parts that the batch is split into between attention and feed-forward devices. */
  readonly parts: number;
}

/** Templates kept: a busy prefill instance meets ever new lists of destinations. */
const maxVariants = 64;
const attentionParts = ['embedding', 'attention', 'head'] as const;
const ffnParts = ['dense', 'moe'] as const;

export class InstanceGenerator {
  private readonly options: InstanceOptions;
  private readonly padding: PaddingTables;
  private readonly decodeTail: boolean;
  private readonly groupMembers: Readonly<Record<string, readonly number[]>>;
  private readonly variants = new Map<string, readonly Placed[]>();
  private readonly quantities = new QuantityTable();
  private readonly strings = new StringTable();
  private readonly batch = new Batch();
  /** Parts of the batch, for attention and feed-forward devices in turn. */
  private readonly parts: readonly Batch[];
  private readonly steps: Step[] = [];
  private readonly experts: ExpertBlock | undefined;
  private readonly pim: PimCost | undefined;
  private readonly local: LocalBatch | undefined;
  /** Of every pipeline stage. */
  private readonly lowerings: readonly Lowering[];
  private readonly disaggregated: Disaggregated | undefined;
  /** Small batches' shared experts overlap an exchange. */
  private readonly streamsShared: boolean;
  /** Of the parts that take turns between device and PIM. */
  private readonly interleaved: readonly Lowering[];
  private values = new Float64Array(0);

  /** @throws UserError naming what a profile lacks, or what cannot be divided so */
  constructor(options: InstanceOptions) {
    const { instance, terms, groups, peers, ffn } = options;
    this.options = options;
    const { experts, expertRouter } = options;
    this.pim = pimCost(options.cluster, instance);
    const { localAttention } = instance.model;
    this.local = localAttention === undefined ? undefined : new LocalBatch(localAttention);
    checkInterleaving(instance, peers);
    this.experts = planExperts(ffn?.instance ?? instance, peers.length, experts, expertRouter);
    this.lowerings = this.lowerStages();
    const interleaved = instance.engine.subBatchInterleaving ? 2 : 0;
    this.parts = Array.from({ length: ffn?.microBatches ?? interleaved }, () => new Batch());
    this.interleaved = ffn === undefined ? this.lowerInterleavedParts() : [];
    this.disaggregated = ffn === undefined ? undefined : this.lowerParts(ffn);
    this.streamsShared =
      terms.sharedExpertStream &&
      ffn === undefined &&
      groups.some(({ expert }) => expert !== undefined) &&
      this.lowerings.some(({ sequence }) => sequence.moe.some(isShared));
    this.decodeTail = options.stages.every(({ decodeTail }) => decodeTail);
    this.padding = terms.batchPadding ? paddingTables(instance.engine) : noPadding;
    this.groupMembers = Object.fromEntries(
      groups
        .flatMap(({ tensor, expert, ffn: pool }) => [tensor, expert, pool])
        .filter((group) => group !== undefined)
        .map(({ name, npus }) => [name, npus]),
    );
    const parts = Math.min(1, this.parts.length);
    this.placed({ warmUp: false, sharedBeside: false, rearranges: false, kvTo: [], parts });
  }

  generate(iteration: Iteration): GraphSet {
    // Both are serial time of the step beside its operators.
    const warmUpNs =
      (this.options.terms.warmUp ? (iteration.warmUpNs ?? 0) : 0) + (iteration.draftNs ?? 0);
    const kvSends = iteration.kvSends ?? [];
    const parts = Math.min(this.parts.length, Math.max(1, iteration.requests.length));
    this.read(iteration, parts);
    const draw = {
      group: this.options.peers[0].index,
      wave: iteration.wave ?? iteration.iteration,
    };
    const placed = this.placed({
      warmUp: warmUpNs > 0,
      sharedBeside: this.streamsShared && this.batch.tokens <= sharedStreamTokens,
      rearranges: this.rearranges(draw),
      kvTo: kvSends.map(({ to }) => to),
      parts,
    });
    for (const step of this.steps) {
      step.warmUpNs = warmUpNs;
      step.kvSends = kvSends;
      step.draw.wave = draw.wave;
    }
    this.evaluate(parts);
    return {
      instance: iteration.instance,
      iteration: iteration.iteration,
      releaseNs: iteration.releaseNs,
      lane: 0,
      programs: placed.map(
        ({ npus, template }): Program => ({ npus, graph: instantiate(template, this.values) }),
      ),
      groups: this.groupMembers,
    };
  }

  /** Equal on all ranks that share experts: any stage's layers move some. */
  private rearranges(draw: Draw): boolean {
    const { loads } = this.experts ?? {};
    if (loads === undefined) return false;
    for (let layer = 0; layer < this.options.instance.model.numLayers; layer++) {
      if (loads.moved(layer, draw) > 0) return true;
    }
    return false;
  }

  /** A lowering per stage; stages of the same device share one. */
  private lowerStages(): Lowering[] {
    const { instance, stages, cluster, ffn } = this.options;
    const known = new Map<StageDevice, Lowering>();
    return stages.map((device) => {
      let lowering = known.get(device);
      if (lowering === undefined) {
        const parts = ffn === undefined ? undefined : attentionParts;
        const sequence = chooseSequence(instance, device.latency, parts);
        checkPlacement(cluster, instance, sequence);
        lowering = this.addStep(instance, device, sequence, this.batch);
        known.set(device, lowering);
      }
      return lowering;
    });
  }

  /** The halves of a batch that take turns; none when batches stay whole. */
  private lowerInterleavedParts(): Lowering[] {
    const [whole] = this.lowerings;
    const [stage] = this.options.stages;
    return this.parts.map((batch) => this.addStep(whole.instance, stage, whole.sequence, batch));
  }

  private lowerParts(ffn: FfnDevice): Disaggregated {
    const { groups } = this.options;
    const [whole] = this.lowerings;
    const device = { latency: ffn.latency, stepOverhead: noOverhead, decodeTail: false };
    checkFfnMemory(ffn.instance);
    const ffnSequence = chooseSequence(ffn.instance, ffn.latency, ffnParts);
    const [stage] = this.options.stages;
    const parts = this.parts.map((batch) => ({
      attention: this.addStep(whole.instance, stage, whole.sequence, batch),
      ffn: this.addStep(ffn.instance, device, ffnSequence, batch),
    }));
    return { whole, parts, tensorGroup: groups[0].tensor, ffnGroup: groups[0].ffn };
  }

  private addStep(
    instance: Instance,
    device: StageDevice,
    sequence: Sequence,
    batch: Batch,
  ): Lowering {
    const { terms, experts, peers } = this.options;
    const index = this.steps.push({
      batch,
      latency: device.latency,
      tp: instance.tp,
      local: this.local,
      warmUpNs: 0,
      pim: this.pim,
      experts: this.experts,
      kvSends: [],
      draw: { group: peers[0].index, wave: 0 },
    });
    return {
      instance,
      sequence,
      quantities: this.quantities.bind(index - 1),
      terms,
      stepOverhead: device.stepOverhead,
      strings: this.strings,
      experts: this.experts,
      expertOptions: experts,
      placement: weightPlacement(instance.placement),
      pimNode: this.pim?.node,
    };
  }

  /** Templates of a shape, built at first use. */
  private placed(shape: Shape): readonly Placed[] {
    const { warmUp, sharedBeside, rearranges, kvTo, parts } = shape;
    const key = `${warmUp} ${sharedBeside} ${rearranges} ${parts} ${kvTo.join()}`;
    let placed = this.variants.get(key);
    if (placed === undefined) {
      if (this.variants.size >= maxVariants) this.variants.clear();
      const links = kvTo.map((to) => {
        const [source, target] = kvPair(this.options.cluster, this.options.instance.index, to);
        return planKvLinks(source, target);
      });
      const pools = this.disaggregated !== undefined;
      placed = pools ? this.placePools(shape, links) : this.placeStages(shape, links);
      this.variants.set(key, placed);
    }
    return placed;
  }

  /** One template per stage; one per rank where ranks name different peers or hold other experts. */
  private placeStages(shape: Shape, kvLinks: readonly (readonly KvLink[])[]): Placed[] {
    const { instance, peers } = this.options;
    const { warmUp, sharedBeside, rearranges, parts } = shape;
    const ranksDiffer = this.experts?.loads.ranksDiffer ?? false;
    const firstRank = peers.indexOf(instance) * instance.tp;
    const placed: Placed[] = [];
    for (let stage = 0; stage < instance.pp; stage++) {
      const npus = stageNpus(instance, stage);
      const alike = instance.pp === 1 && !ranksDiffer && kvLinks.length === 0;
      const ranks = alike ? [0] : npus.map((_, rank) => rank);
      for (const rank of ranks) {
        const expertRank = this.expertRank(firstRank + rank);
        const base = { stage, rank, expertRank, warmUp, sharedBeside, rearranges };
        const position = this.position(base, kvLinks);
        const template =
          parts > 1
            ? lowerInterleaved(this.interleaved, position)
            : lowerStage(this.lowerings[stage], position);
        placed.push({ npus: alike ? npus : [npus[rank]], template });
      }
    }
    return placed;
  }

  /** Attention devices and feed-forward devices, one template per rank. */
  private placePools(shape: Shape, kvLinks: readonly (readonly KvLink[])[]): Placed[] {
    const { instance, ffn } = this.options;
    const { warmUp, parts } = shape;
    const pools = this.disaggregated as Disaggregated;
    const active = { ...pools, parts: pools.parts.slice(0, parts) };
    const alone = { stage: 0, sharedBeside: false, rearranges: false };
    const attention = instance.npus.map((npu, rank) => {
      const position = this.position({ ...alone, rank, expertRank: 0, warmUp }, kvLinks);
      return { npus: [npu], template: lowerAttentionRank(active, position) };
    });
    const forward = (ffn as FfnDevice).instance.npus.map((npu, rank) => {
      const expertRank = this.expertRank(rank);
      const position = this.position({ ...alone, rank, expertRank, warmUp: false }, []);
      return { npus: [npu], template: lowerFfnRank(active, position) };
    });
    return [...attention, ...forward];
  }

  /** Share of the experts that a rank holds; 0 while shares are alike. */
  private expertRank(rank: number): number {
    if (this.experts?.loads.ranksDiffer !== true) return 0;
    return Math.floor(rank / this.experts.slices);
  }

  private position(
    base: Omit<Position, 'groups' | 'kvSends'>,
    kvLinks: readonly (readonly KvLink[])[],
  ): Position {
    const { instance, groups } = this.options;
    const npu = instance.npus[base.stage * instance.tp + base.rank];
    const kvSends = kvLinks.map((links) => links.filter(({ src }) => src === npu));
    return { ...base, groups: groups[base.stage], kvSends };
  }

  private read(iteration: Iteration, parts: number): void {
    const { peers } = this.options;
    const { batch } = this;
    batch.read(iteration);
    for (let part = 0; part < parts; part++) {
      const own = this.parts[part];
      own.read(iteration, part, parts);
      own.tokens = this.padded(own.realTokens);
      own.groupTokens = own.tokens;
      own.sequences = padTokens(this.padding.rows, own.sequences);
      if (!this.decodeTail) own.levelDecodes();
    }
    if (!this.decodeTail) batch.levelDecodes();
    batch.sequences = padTokens(this.padding.rows, batch.sequences);
    if (iteration.waveTokens === undefined) {
      batch.tokens = this.padded(Math.max(batch.realTokens, iteration.paddedTokens ?? 0));
      batch.groupTokens = batch.tokens * peers.length;
      return;
    }
    const own = peers.findIndex(({ index }) => index === iteration.instance);
    padWave(iteration.waveTokens, own, peers.length, batch, this.padding.tokens);
  }

  private padded(tokens: number): number {
    return padTokens(this.padding.tokens, tokens);
  }

  /** Steps of parts that this iteration has not are left out: theirs are behind the whole's. */
  private evaluate(parts: number): void {
    const { list, stepOf } = this.quantities;
    if (this.values.length < list.length) this.values = new Float64Array(list.length);
    const lastStep = this.disaggregated === undefined ? this.steps.length - 1 : 2 * parts;
    for (let i = 0; i < list.length; i++) {
      const step = stepOf[i];
      this.values[i] = step > lastStep ? 0 : evaluate(list[i], this.steps[step]);
    }
  }
}
