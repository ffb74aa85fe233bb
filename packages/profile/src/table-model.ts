/**
 * A latency model of compiled tables, measured or fitted: every operator's points become typed
 * arrays once per TP degree, at first use. Results are integer ns, at least 1. Lookups allocate
 * nothing.
 */
import { nearest, UserError } from '@astrolabe/base';
import { AttentionGrid } from './attention-grid.js';
import { type EffectiveChunk, effectiveChunk } from './attention-work.js';
import { DecodeTail, measureTail, skewShots } from './decode-tail.js';
import {
  type AttentionBatch,
  attentionParts,
  type LatencyModel,
  type LookupCounters,
} from './latency-model.js';
import { MoeGrid } from './moe-grid.js';
import { lookupState, OperatorLine } from './operator-line.js';
import type { OperatorPower } from './operator-power.js';
import {
  kindOfOperator,
  type ProfileInfo,
  type ProfileTable,
  record,
  rowKinds,
  tpDegreesOf,
} from './profile-table.js';

const [ofDecodes, ofAChunk] = attentionParts;

/** Time of one attention call, whose prefill chunks are already one. */
export interface AttentionLookup {
  /** Smallest and largest chunk known, tokens. */
  readonly minChunk: number;
  readonly maxChunk: number;
  readonly knowsDecodes: boolean;
  readonly knowsChunks: boolean;
  /** Of the last lookup: one of `lookupState`. */
  readonly state: number;
  /** @returns ns, a float */
  at(chunk: number, context: number, decodes: number, decodeContext: number): number;
}

/** What one TP degree compiles to. */
export interface CompiledTables {
  readonly dense: ReadonlyMap<string, OperatorLine>;
  readonly perSequence: ReadonlyMap<string, OperatorLine>;
  readonly attention: AttentionLookup | undefined;
  readonly moe: MoeGrid | undefined;
  readonly tail: DecodeTail;
}

/** Where a model's tables come from: possibly a file per TP degree, read when first asked for. */
export interface TableSource {
  readonly info: ProfileInfo;
  readonly tpDegrees: readonly number[];
  compile(tp: number): CompiledTables;
}

/**
 * @param load gives a table with at least the rows of that TP degree
 * @param loadSkew gives one with its skew rows, asked for only when a batch has unequal contexts
 */
export function measuredTables(
  info: ProfileInfo,
  tpDegrees: readonly number[],
  load: (tp: number) => ProfileTable,
  loadSkew: (tp: number) => ProfileTable = load,
): TableSource {
  return { info, tpDegrees, compile: (tp) => compileTables(load(tp), tp, () => loadSkew(tp)) };
}

/** The model of one table in memory. */
export function modelOfTable(table: ProfileTable): TableModel {
  return new TableModel(measuredTables(table.info, tpDegreesOf(table), () => table));
}

export class TableModel implements LatencyModel {
  readonly hardware: string;
  readonly model: string;
  readonly dtype: string;
  readonly source: string;
  readonly measurement: ProfileInfo['measurement'];
  readonly engine: ProfileInfo['engine'];
  readonly caution: ProfileInfo['caution'];
  readonly tpDegrees: readonly number[];
  readonly isolated: ProfileInfo['isolated'];
  /** Set by whoever read a table that has it. */
  power?: OperatorPower | undefined;
  readonly counters: LookupCounters = { exact: 0, interpolated: 0, extrapolated: 0 };
  private readonly tables: TableSource;
  private readonly compiled: CompiledTables[] = [];
  private readonly chunk: EffectiveChunk = { newTokens: 0, contextTokens: 0 };

  constructor(tables: TableSource) {
    this.tables = tables;
    this.hardware = tables.info.hardware;
    this.model = tables.info.model;
    this.dtype = tables.info.dtype;
    this.source = tables.info.source;
    this.measurement = tables.info.measurement;
    this.engine = tables.info.engine;
    this.caution = tables.info.caution;
    this.isolated = tables.info.isolated;
    this.tpDegrees = tables.tpDegrees;
  }

  /** @param operator as in the table; 'attention' (or one of `attentionParts`) and 'moe' for those. */
  has(operator: string, tp: number): boolean {
    if (operator === 'moe') return this.moeGrid(tp) !== undefined;
    if (!this.tpDegrees.includes(tp)) return false;
    const tables = this.at(tp);
    if (operator === 'attention') return tables.attention !== undefined;
    if (operator === ofDecodes) return tables.attention?.knowsDecodes === true;
    if (operator === ofAChunk) return tables.attention?.knowsChunks === true;
    if (tables.perSequence.has(operator)) return true;
    return tables.dense.has(operator) && !kindOfOperator.has(operator);
  }

  /** Dense and per-sequence operators at a TP degree. */
  operators(tp: number): string[] {
    const tables = this.at(tp);
    return [...tables.dense.keys(), ...tables.perSequence.keys()];
  }

  denseNs(operator: string, tp: number, tokens: number): number {
    const line = this.at(tp).dense.get(operator);
    if (line === undefined) throw this.lacks(operator, tp);
    return this.lookUp(line, tokens);
  }

  perSequenceNs(operator: string, tp: number, sequences: number): number {
    const line = this.at(tp).perSequence.get(operator);
    if (line === undefined) throw this.lacks(operator, tp);
    return this.lookUp(line, sequences);
  }

  /**
   * Prefill chunks count as one of the same work (`effectiveChunk`), decodes at their mean context,
   * plus the wait for the longest when they differ (`DecodeTail`).
   */
  attentionNs(tp: number, batch: AttentionBatch): number {
    const tables = this.at(tp);
    const grid = tables.attention;
    if (grid === undefined) throw this.lacks('attention', tp);
    if (batch.decodeCount > 0 && !grid.knowsDecodes) throw this.lacks(ofDecodes, tp);
    if (batch.prefillCount > 0 && !grid.knowsChunks) throw this.lacks(ofAChunk, tp);
    const { chunk } = this;
    chunk.newTokens = 0;
    chunk.contextTokens = 0;
    if (batch.prefillCount > 0) effectiveChunk(batch, grid.minChunk, grid.maxChunk, chunk);
    const decodes = batch.decodeCount;
    if (decodes === 0 && batch.prefillCount === 0) return 0;
    const mean = decodes === 0 ? 0 : batch.decodeContextSum / decodes;
    let timeNs = grid.at(chunk.newTokens, chunk.contextTokens, decodes, mean);
    let state = Math.max(grid.state, chunkState(batch, grid));
    if (decodes > 1 && batch.decodeContexts !== undefined) {
      const { tail } = tables;
      const share = tail.share(batch.decodeContexts, decodes, chunk.newTokens);
      if (share > 0) {
        const all = grid.at(chunk.newTokens, chunk.contextTokens, decodes, tail.longestContext);
        if (all > timeNs) timeNs += share * (all - timeNs);
        state = Math.max(state, grid.state);
      }
    }
    this.count(state);
    return atLeastOne(timeNs);
  }

  /** MoE blocks are measured with whole experts: a TP degree without its own rows uses TP 1's. */
  moeNs(tp: number, tokens: number, activatedExperts: number): number {
    const grid = this.moeGrid(tp);
    if (grid === undefined) throw this.lacks('moe', tp);
    const timeNs = grid.at(tokens, activatedExperts);
    this.count(grid.state);
    return atLeastOne(timeNs);
  }

  private lookUp(line: OperatorLine, key: number): number {
    this.count(line.state(key));
    return atLeastOne(line.at(key));
  }

  private count(state: number): void {
    if (state === lookupState.exact) this.counters.exact++;
    else if (state === lookupState.interpolated) this.counters.interpolated++;
    else this.counters.extrapolated++;
  }

  private moeGrid(tp: number): MoeGrid | undefined {
    if (this.tpDegrees.includes(tp)) {
      const own = this.at(tp).moe;
      if (own !== undefined) return own;
    }
    return this.tpDegrees.length === 0 ? undefined : this.at(this.tpDegrees[0]).moe;
  }

  private at(tp: number): CompiledTables {
    const known = this.compiled[tp];
    if (known !== undefined) return known;
    if (!this.tpDegrees.includes(tp)) {
      throw new UserError(`no measurements at tensor-parallel degree ${tp}`, {
        at: `profile ${this.hardware}/${this.model}/${this.dtype}`,
        hint: `it has TP ${this.tpDegrees.join(', ')}; profiler-ingest transfer carries it to others`,
      });
    }
    const tables = this.tables.compile(tp);
    this.compiled[tp] = tables;
    return tables;
  }

  private lacks(operator: string, tp: number): UserError {
    const known = this.operators(tp);
    if (this.at(tp).attention !== undefined) known.push('attention');
    const guess = nearest(operator, known);
    return new UserError(`no operator "${operator}" at TP ${tp}`, {
      at: `profile ${this.hardware}/${this.model}/${this.dtype}`,
      hint: `${guess === undefined ? '' : `did you mean "${guess}"? `}it has ${known.join(', ')}`,
    });
  }
}

/** Several chunks are one in between; one shorter or all longer than was measured are beyond it. */
function chunkState(batch: AttentionBatch, { minChunk, maxChunk }: AttentionLookup): number {
  let tokens = 0;
  for (let i = 0; i < batch.prefillCount; i++) {
    if (batch.prefillNewTokens[i] < minChunk) return lookupState.extrapolated;
    tokens += batch.prefillNewTokens[i];
  }
  if (tokens > maxChunk) return lookupState.extrapolated;
  return batch.prefillCount > 1 ? lookupState.interpolated : lookupState.exact;
}

function atLeastOne(timeNs: number): number {
  return timeNs < 1 ? 1 : Math.round(timeNs);
}

/** Sorts a table's rows of one TP degree into lines and grids. */
function compileTables(
  table: ProfileTable,
  tp: number,
  loadSkew: () => ProfileTable,
): CompiledTables {
  const { keys, values } = table;
  const rows = record(rowKinds, () => [] as number[]);
  for (let i = 0; i < table.length; i++) {
    if (table.tp[i] === tp) rows[rowKinds[table.kind[i]]].push(i);
  }
  const pick = (column: Float64Array, of: readonly number[]): Float64Array =>
    Float64Array.from(of, (i) => Math.max(0, column[i]));
  const attention = rows.attention;
  let tail: DecodeTail | undefined;
  return {
    dense: compileLines(table, rows.dense, keys.tokens),
    perSequence: compileLines(table, rows.per_sequence, keys.sequences),
    attention:
      attention.length === 0
        ? undefined
        : new AttentionGrid({
            chunk: pick(keys.tokens, attention),
            context: pick(keys.contextTokens, attention),
            decodes: pick(keys.sequences, attention),
            decodeContext: pick(keys.decodeContextTokens, attention),
            timeNs: pick(values.durationNs, attention),
          }),
    moe:
      rows.moe.length === 0
        ? undefined
        : MoeGrid.fromPoints(
            rows.moe.map((i) => [keys.tokens[i], keys.activatedExperts[i], values.durationNs[i]]),
          ),
    get tail() {
      if (tail === undefined) {
        const splitsBelow = tp * (table.info.splitsBelow ?? 0);
        tail = new DecodeTail(measureTail(skewShots(loadSkew(), tp)), splitsBelow);
      }
      return tail;
    },
  };
}

function compileLines(
  table: ProfileTable,
  rows: readonly number[],
  key: Float64Array,
): Map<string, OperatorLine> {
  const points = new Map<string, [number, number][]>();
  for (const i of rows) {
    const name = table.operators[table.operator[i]];
    const known = points.get(name);
    const point: [number, number] = [key[i], table.values.durationNs[i]];
    if (known === undefined) points.set(name, [point]);
    else known.push(point);
  }
  return new Map([...points].map(([name, list]) => [name, new OperatorLine(list)]));
}
