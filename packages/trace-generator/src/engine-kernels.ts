/**
 * What an engine's kernels do otherwise than operators timed alone (`LatencyModel.isolated`). Nothing
 * here is fitted; each correction is a term of its own:
 *
 * - `fusedElementwise`: norms with their residual, rotation and activation are one kernel each in an
 *   engine, whatever number of kernels the plain module ran: at most a launch and the traffic.
 * - `unpackedQueryHeads`: attention kernels that pack the query heads of a KV head into one tile do so
 *   only for batches of decodes over the whole context (FlashAttention 2: `seqlenq_ngroups_swapped`
 *   asks for one query per sequence and no window). Beside a chunk, or with a sliding window, every
 *   query head reads the KV cache by itself: decodes cost heads / KV heads as much. Measured mixed
 *   batches of two cards show factors up to 3.9 of 4 there (docs/accuracy.md). Devices whose kernels
 *   pack in every batch are exempt (`packsQueryHeads`).
 * - `weightFloor`: an operator timed in a loop may find its weights in the cache; in an engine they
 *   come from memory, so it takes at least their bytes over the bandwidth.
 */
import { dtypeBytes, type Instance, operatorWeightBytes } from '@astrolabe/config';
import type { AttentionBatch, IsolatedTiming, LatencyModel } from '@astrolabe/profile';
import type { Terms } from './terms.js';

type Corrections = Pick<Terms, 'fusedElementwise' | 'unpackedQueryHeads' | 'weightFloor'>;

/** The model itself unless its operators were timed alone. */
export function engineKernels(
  latency: LatencyModel,
  instance: Instance,
  terms: Corrections,
): LatencyModel {
  const { isolated } = latency;
  if (isolated === undefined) return latency;
  if (!terms.fusedElementwise && !terms.unpackedQueryHeads && !terms.weightFloor) return latency;
  return new EngineKernels(latency, isolated, instance, terms);
}

class EngineKernels implements LatencyModel {
  readonly hardware: string;
  readonly model: string;
  readonly dtype: string;
  readonly source: string;
  readonly tpDegrees: readonly number[];
  readonly counters: LatencyModel['counters'];
  private readonly base: LatencyModel;
  private readonly timing: IsolatedTiming;
  private readonly instance: Instance;
  private readonly terms: Corrections;
  /** Bytes moved per token by fused elementwise operators, on one rank. */
  private readonly elementwise: ReadonlyMap<string, number>;
  private readonly floors = new Map<string, number>();
  private readonly decodes = emptyDecodes();

  constructor(base: LatencyModel, timing: IsolatedTiming, instance: Instance, terms: Corrections) {
    this.base = base;
    this.timing = timing;
    this.instance = instance;
    this.terms = terms;
    this.hardware = base.hardware;
    this.model = base.model;
    this.dtype = base.dtype;
    this.source = base.source;
    this.tpDegrees = base.tpDegrees;
    this.counters = base.counters;
    this.elementwise = elementwiseBytes(instance);
  }

  has(operator: string, tp: number): boolean {
    return this.base.has(operator, tp);
  }

  denseNs(operator: string, tp: number, tokens: number): number {
    const measured = this.base.denseNs(operator, tp, tokens);
    const bytes = this.elementwise.get(operator);
    if (bytes === undefined) return Math.max(measured, this.floorNs(operator));
    if (!this.terms.fusedElementwise) return measured;
    const { launchNs, bandwidthGBps } = this.timing;
    return Math.min(measured, Math.round(launchNs + (tokens * bytes) / bandwidthGBps));
  }

  perSequenceNs(operator: string, tp: number, sequences: number): number {
    const measured = this.base.perSequenceNs(operator, tp, sequences);
    return Math.max(measured, this.floorNs(operator));
  }

  attentionNs(tp: number, batch: AttentionBatch): number {
    const measured = this.base.attentionNs(tp, batch);
    const { model } = this.instance;
    const packed = batch.prefillCount === 0 && model.slidingWindow === undefined;
    const unpackedHeads = this.terms.unpackedQueryHeads && !this.timing.packsQueryHeads;
    if (!unpackedHeads || packed || batch.decodeCount === 0) return measured;
    const { decodes } = this;
    decodes.decodeCount = batch.decodeCount;
    decodes.decodeContextSum = batch.decodeContextSum;
    decodes.decodeContexts = batch.decodeContexts;
    const more = model.numHeads / model.numKvHeads - 1;
    return measured + Math.round(more * this.base.attentionNs(tp, decodes));
  }

  moeNs(tp: number, tokens: number, activatedExperts: number): number {
    return this.base.moeNs(tp, tokens, activatedExperts);
  }

  /** 0 for operators without weights. */
  private floorNs(operator: string): number {
    if (!this.terms.weightFloor || operator === 'embedding') return 0;
    let floor = this.floors.get(operator);
    if (floor === undefined) {
      const { model, tp, engine } = this.instance;
      const sharding = { tp, expertRanks: tp };
      const bytes = operatorWeightBytes(model, sharding, operator, engine.dtype);
      floor = Math.round(bytes / this.timing.bandwidthGBps);
      this.floors.set(operator, floor);
    }
    return floor;
  }
}

/** Norms read and write hidden state and residual; rotation q and k; the activation 2 in, 1 out. */
function elementwiseBytes({ model, tp, engine }: Instance): Map<string, number> {
  const bytes = dtypeBytes[engine.dtype];
  const norm = 4 * model.hiddenSize * bytes;
  const kvHeads = Math.max(model.numKvHeads, tp);
  const rotation = (2 * (model.numHeads + kvHeads) * model.headDim * bytes) / tp;
  const activation = (3 * model.intermediateSize * bytes) / tp;
  return new Map([
    ['layernorm', norm],
    ['final_layernorm', norm],
    ['rotary_emb', rotation],
    ['act_fn', activation],
  ]);
}

interface Decodes extends AttentionBatch {
  decodeCount: number;
  decodeContextSum: number;
  decodeContexts: ArrayLike<number> | undefined;
}

function emptyDecodes(): Decodes {
  return {
    prefillCount: 0,
    prefillNewTokens: [],
    prefillContextTokens: [],
    decodeCount: 0,
    decodeContextSum: 0,
    decodeContexts: undefined,
  };
}
