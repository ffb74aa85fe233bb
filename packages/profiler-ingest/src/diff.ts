/**
 * How one latency model differs from a measured table: at every measured point the model's answer
 * less the measurement, relative, per operator.
 */
import {
  type AttentionBatch,
  attentionParts,
  type FitError,
  kindOfOperator,
  type LatencyModel,
  type ProfileTable,
  rowKinds,
} from '@astrolabe/profile';
import { summarise } from './fit/fit-errors.js';

export interface OperatorDifference extends FitError {
  readonly operator: string;
  readonly tp: number;
  /** Of the summed times: what a run of all points would be off by, percent. */
  readonly totalPercent: number;
}

/** Operators that the model lacks are left out; `missing` collects them. */
export function differences(
  measured: ProfileTable,
  model: LatencyModel,
  missing: Set<string>,
): OperatorDifference[] {
  const groups = new Map<
    string,
    { tp: number; operator: string; ours: number[]; real: number[] }
  >();
  for (let i = 0; i < measured.length; i++) {
    const kind = rowKinds[measured.kind[i]];
    if (kind === 'skew' || kind === 'collective') continue;
    const tp = measured.tp[i];
    const operator = labelOf(measured, i);
    const name = measured.operators[measured.operator[i]];
    if (!knowsRow(model, measured, i, tp)) {
      missing.add(`${name} at TP ${tp}`);
      continue;
    }
    const key = `${tp} ${operator}`;
    const group = groups.get(key) ?? { tp, operator, ours: [], real: [] };
    group.ours.push(lookUp(measured, i, model));
    group.real.push(measured.values.durationNs[i]);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ tp, operator, ours, real }) => {
    const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
    return {
      tp,
      operator,
      ...summarise(ours.map((ns, i) => ns / real[i] - 1)),
      totalPercent: Number((100 * (sum(ours) / sum(real) - 1)).toFixed(2)),
    };
  });
}

function labelOf(table: ProfileTable, i: number): string {
  const name = table.operators[table.operator[i]];
  if (rowKinds[table.kind[i]] !== 'attention') return name;
  const chunk = table.keys.tokens[i] > 0;
  const decodes = table.keys.sequences[i] > 0;
  return chunk && decodes ? `${name}: mixed` : chunk ? `${name}: one chunk` : `${name}: decodes`;
}

/** Whether the model can be asked for a measured row, as the kind that it is. */
export function knowsRow(
  model: LatencyModel,
  table: ProfileTable,
  i: number,
  tp = table.tp[i],
): boolean {
  const kind = rowKinds[table.kind[i]];
  const name = table.operators[table.operator[i]];
  if (kind === 'attention') {
    const { tokens, sequences } = table.keys;
    const [decodes, chunk] = attentionParts;
    return (
      (!(sequences[i] > 0) || model.has(decodes, tp)) && (!(tokens[i] > 0) || model.has(chunk, tp))
    );
  }
  if (kind === 'moe') return model.has(kind, tp);
  return (kindOfOperator.get(name) ?? kind) === kind && model.has(name, tp);
}

/** The model's time at a measured row's keys, at another TP degree if given. */
export function lookUp(
  table: ProfileTable,
  i: number,
  model: LatencyModel,
  tp = table.tp[i],
): number {
  const { keys } = table;
  const name = table.operators[table.operator[i]];
  switch (rowKinds[table.kind[i]]) {
    case 'dense':
      return model.denseNs(name, tp, keys.tokens[i]);
    case 'per_sequence':
      return model.perSequenceNs(name, tp, keys.sequences[i]);
    case 'moe':
      return model.moeNs(tp, keys.tokens[i], keys.activatedExperts[i]);
    default:
      return model.attentionNs(tp, batchOf(table, i));
  }
}

function batchOf(table: ProfileTable, i: number): AttentionBatch {
  const { keys } = table;
  const chunk = Math.max(0, keys.tokens[i]);
  const decodes = Math.max(0, keys.sequences[i]);
  const context = Math.max(0, keys.decodeContextTokens[i]);
  return {
    prefillCount: chunk > 0 ? 1 : 0,
    prefillNewTokens: [chunk],
    prefillContextTokens: [Math.max(0, keys.contextTokens[i])],
    decodeCount: decodes,
    decodeContextSum: decodes * context,
  };
}

/** @returns lines of text */
export function differenceLines(rows: readonly OperatorDifference[]): string[] {
  const header = ['operator', 'TP', 'points', 'mean |e| %', 'p95 |e| %', 'bias %', 'of total %'];
  const cells = rows.map((row) => [
    row.operator,
    String(row.tp),
    String(row.points),
    row.meanAbsPercent.toFixed(1),
    row.p95AbsPercent.toFixed(1),
    signed(row.biasPercent),
    signed(row.totalPercent),
  ]);
  return [header, ...cells].map((line) =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(22) : cell.padStart(11))).join(''),
  );
}

function signed(value: number): string {
  return `${value > 0 ? '+' : ''}${value.toFixed(1)}`;
}
