/**
 * How long operators take on one device for one model. Implemented by measured tables with
 * interpolation (`table-model.ts`), by fitted models and by rooflines. All times are for one layer's
 * operator on one rank, in ns, without communication.
 */
import type { OperatorPower } from './operator-power.js';
import type { IsolatedTiming, MeasurementKind } from './profile-table.js';

/** The attention work of one batch on one instance, before it is divided by TP. */
export interface AttentionBatch {
  /** Requests that compute more than one token, or their first. */
  readonly prefillCount: number;
  /** New tokens of each prefill chunk; valid in [0, prefillCount). */
  readonly prefillNewTokens: ArrayLike<number>;
  /** Tokens already in the KV cache of each prefill request. */
  readonly prefillContextTokens: ArrayLike<number>;
  readonly decodeCount: number;
  readonly decodeContextSum: number;
  /** Context of each decode; valid in [0, decodeCount). Without them all are at the mean. */
  readonly decodeContexts?: ArrayLike<number> | undefined;
}

/** What a batch needs of attention, as `has` and messages call it; a mix needs both. */
export const attentionParts = ['attention of decodes', 'attention of a chunk'] as const;

/** How lookups were answered: what a trust card needs. */
export interface LookupCounters {
  exact: number;
  interpolated: number;
  extrapolated: number;
}

export interface LatencyModel {
  readonly hardware: string;
  readonly model: string;
  readonly dtype: string;
  readonly source: string;
  /** How its times were taken; absent: unknown. */
  readonly measurement?: MeasurementKind | undefined;
  /** Engine and version that ran the operators; absent: not said. */
  readonly engine?: string | undefined;
  /** What is known to be far off in it. */
  readonly caution?: string | undefined;
  readonly tpDegrees: readonly number[];
  readonly counters: LookupCounters;
  /** Present when operators were timed alone, not as an engine runs them. */
  readonly isolated?: IsolatedTiming | undefined;
  /** What its operators drew; absent: not measured. */
  readonly power?: OperatorPower | undefined;

  /** Whether the operator is known at this TP degree. */
  has(operator: string, tp: number): boolean;
  /** An operator whose time depends on the batch's total new tokens. @throws UserError unknown */
  denseNs(operator: string, tp: number, tokens: number): number;
  /** An operator that runs on one row per sequence (lm_head, sampler). */
  perSequenceNs(operator: string, tp: number, sequences: number): number;
  attentionNs(tp: number, batch: AttentionBatch): number;
  /** The whole MoE block on one rank: gate, top-k, expert GEMMs, combine. */
  moeNs(tp: number, tokens: number, activatedExperts: number): number;
}

type Times = Pick<LatencyModel, 'denseNs' | 'perSequenceNs' | 'attentionNs' | 'moeNs'>;

/** The same model, of which some times are others. */
export function withTimes(base: LatencyModel, times: Partial<Times>): LatencyModel {
  const { hardware, model, dtype, source, measurement, engine, caution } = base;
  const { tpDegrees, counters, isolated, power } = base;
  return {
    hardware,
    model,
    dtype,
    source,
    measurement,
    engine,
    caution,
    tpDegrees,
    counters,
    isolated,
    power,
    has: (operator, tp) => base.has(operator, tp),
    denseNs: (operator, tp, tokens) => base.denseNs(operator, tp, tokens),
    perSequenceNs: (operator, tp, sequences) => base.perSequenceNs(operator, tp, sequences),
    attentionNs: (tp, batch) => base.attentionNs(tp, batch),
    moeNs: (tp, tokens, activatedExperts) => base.moeNs(tp, tokens, activatedExperts),
    ...times,
  };
}
