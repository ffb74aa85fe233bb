/**
 * What is in a profile table, in words: provenance, operators with their grids, what a model would
 * miss, repeated keys, points that stand out from their neighbours.
 */
import { mergePoints } from '@astrolabe/base';
import { fillsGrid, type ProfileTable, rowKinds, tpDegreesOf } from '@astrolabe/profile';

/** Operators that some decoder block needs; each list is one way to have that step. */
const blockSteps: readonly (readonly (readonly string[])[])[] = [
  [['embedding']],
  [['layernorm'], ['input_layernorm', 'post_layernorm']],
  [['qkv_proj'], ['q_proj', 'k_proj', 'v_proj']],
  [['rotary_emb'], ['rope']],
  [['attention']],
  [['o_proj']],
  [
    ['gate_up_proj', 'act_fn', 'down_proj'],
    ['gate_proj', 'up_proj', 'act_fn', 'down_proj'],
    ['moe'],
  ],
  [['final_layernorm']],
  [['lm_head']],
];

/** A point further than this from the line between its neighbours stands out. */
const outlierShare = 0.25;

interface Series {
  readonly kind: string;
  readonly operator: string;
  readonly points: [number, number][];
}

/** @returns lines of text */
export function inspectTable(table: ProfileTable): string[] {
  const { info } = table;
  const lines = [`${info.hardware}  ${info.model}  ${info.dtype}`, `source       ${info.source}`];
  if (info.device !== undefined) lines.push(`device       ${info.device}`);
  if (info.engine !== undefined) lines.push(`engine       ${info.engine}`);
  lines.push(`measurement  ${info.measurement}`, `rows         ${table.length}`);
  if (info.caution !== undefined) lines.push(`caution      ${info.caution}`);
  for (const note of info.notes ?? []) lines.push(`note         ${note}`);
  for (const tp of tpDegreesOf(table)) lines.push('', ...inspectTp(table, tp));
  return lines;
}

function inspectTp(table: ProfileTable, tp: number): string[] {
  const lines = [`TP ${tp}`];
  const series = lineSeries(table, tp);
  for (const { kind, operator, points } of series) {
    const keys = points.map((point) => point[0]);
    const times = points.map((point) => point[1]);
    const repeated = points.length - new Set(keys).size;
    lines.push(
      `  ${operator.padEnd(18)} ${kind.padEnd(13)} ${String(points.length).padStart(5)} points, ` +
        `${keys[0]}..${keys[keys.length - 1]} ${kind === 'dense' ? 'tokens' : 'sequences'}, ` +
        `${range(times)}${repeated === 0 ? '' : `, ${repeated} repeated: the mean counts`}`,
    );
  }
  lines.push(...attentionLines(table, tp), ...moeLines(table, tp), ...collectiveLines(table, tp));
  // Of tokens alone, as kernels of a trace without annotations, these are not looked up.
  const isLookedUp = ({ kind, operator }: Series): boolean =>
    kind !== 'dense' || (operator !== 'attention' && operator !== 'moe');
  const known = new Set(series.filter(isLookedUp).map(({ operator }) => operator));
  for (const kind of ['attention', 'moe'] as const) {
    if (rowsOfKind(table, tp, kind).length > 0) known.add(kind);
  }
  const missing = blockSteps
    .filter((ways) => !ways.some((operators) => operators.every((name) => known.has(name))))
    .map((ways) => ways.map((operators) => operators.join('+')).join(' or '));
  if (known.size > 0 && missing.length > 0)
    lines.push(`  missing for a decoder block: ${missing.join('; ')}`);
  const outliers = series.flatMap(findOutliers);
  lines.push(`  points more than ${outlierShare * 100} % off their neighbours: ${outliers.length}`);
  for (const outlier of outliers.slice(0, 5)) lines.push(`    ${outlier}`);
  return lines;
}

export function lineSeries(table: ProfileTable, tp: number): Series[] {
  const series = new Map<string, Series>();
  for (const kind of ['dense', 'per_sequence'] as const) {
    for (const i of rowsOfKind(table, tp, kind)) {
      const operator = table.operators[table.operator[i]];
      const key = kind === 'dense' ? table.keys.tokens[i] : table.keys.sequences[i];
      const known = series.get(`${kind} ${operator}`) ?? { kind, operator, points: [] };
      known.points.push([key, table.values.durationNs[i]]);
      series.set(`${kind} ${operator}`, known);
    }
  }
  for (const { points } of series.values()) points.sort((a, b) => a[0] - b[0]);
  return [...series.values()];
}

function rowsOfKind(table: ProfileTable, tp: number, kind: (typeof rowKinds)[number]): number[] {
  const index = rowKinds.indexOf(kind);
  const rows: number[] = [];
  for (let i = 0; i < table.length; i++) {
    if (table.tp[i] === tp && table.kind[i] === index) rows.push(i);
  }
  return rows;
}

function attentionLines(table: ProfileTable, tp: number): string[] {
  const rows = rowsOfKind(table, tp, 'attention');
  const { tokens, contextTokens, sequences, decodeContextTokens } = table.keys;
  const parts = [
    ['decodes', rows.filter((i) => !(tokens[i] > 0)), [sequences, decodeContextTokens]],
    ['one chunk', rows.filter((i) => !(sequences[i] > 0)), [tokens, contextTokens]],
    [
      'mixed',
      rows.filter((i) => tokens[i] > 0 && sequences[i] > 0),
      [tokens, contextTokens, sequences, decodeContextTokens],
    ],
  ] as const;
  const lines: string[] = [];
  for (const [name, of, axes] of parts) {
    if (of.length === 0) continue;
    const counts = axes.map((axis) => new Set(of.map((i) => axis[i])).size);
    const cells = counts.reduce((product, count) => product * count, 1);
    const isGrid = fillsGrid(axes.map((axis) => Float64Array.from(of, (i) => axis[i])));
    const ranges = axes.map((axis) => span(of.map((i) => axis[i]))).join(' x ');
    lines.push(
      `  ${'attention'.padEnd(18)} ${name.padEnd(13)} ${String(of.length).padStart(5)} points of a ` +
        `${counts.join(' x ')} grid (${Math.round((100 * of.length) / cells)} %): ${ranges}` +
        (isGrid ? '' : ', no grid: looked up by the nearest'),
    );
  }
  const skew = rowsOfKind(table, tp, 'skew').length;
  if (skew > 0)
    lines.push(
      `  ${'attention'.padEnd(18)} ${'skew'.padEnd(13)} ${String(skew).padStart(5)} points`,
    );
  return lines;
}

function moeLines(table: ProfileTable, tp: number): string[] {
  const rows = rowsOfKind(table, tp, 'moe');
  if (rows.length === 0) return [];
  const tokens = span(rows.map((i) => table.keys.tokens[i]));
  const experts = span(rows.map((i) => table.keys.activatedExperts[i]));
  return [
    `  ${'moe'.padEnd(18)} ${''.padEnd(13)} ${String(rows.length).padStart(5)} points: ` +
      `${tokens} tokens x ${experts} experts`,
  ];
}

function collectiveLines(table: ProfileTable, tp: number): string[] {
  const groups = new Map<string, number[]>();
  for (const i of rowsOfKind(table, tp, 'collective')) {
    const perNode = table.keys.devicesPerNode[i];
    const place = perNode < 0 ? '' : `, ${perNode} a node`;
    const name = `${table.operators[table.operator[i]]} of ${table.keys.sequences[i]}${place}`;
    const list = groups.get(name) ?? [];
    list.push(table.keys.sizeBytes[i]);
    groups.set(name, list);
  }
  return [...groups].map(
    ([name, sizes]) =>
      `  ${name.padEnd(32)} ${String(sizes.length).padStart(5)} sizes, ${span(sizes)} bytes`,
  );
}

function span(values: readonly number[]): string {
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (const value of values) {
    low = Math.min(low, Math.max(0, value));
    high = Math.max(high, value);
  }
  return `${low}..${high}`;
}

function range(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const us = (ns: number): string => (ns / 1000).toPrecision(4);
  return `${us(sorted[0])}..${us(sorted[sorted.length - 1])} us`;
}

function findOutliers({ operator, points: measured }: Series): string[] {
  const found: string[] = [];
  const points = mergePoints(measured);
  for (let i = 1; i < points.length - 1; i++) {
    const [x0, y0] = points[i - 1];
    const [x, y] = points[i];
    const [x1, y1] = points[i + 1];
    const line = y0 + ((x - x0) / (x1 - x0)) * (y1 - y0);
    // A stair is above one neighbour's line and on the other's: only spikes count.
    const spike = Math.min(Math.abs(y / y0 - 1), Math.abs(y / y1 - 1)) > outlierShare;
    if (spike && Math.abs(y / line - 1) > outlierShare) {
      found.push(
        `${operator} at ${x}: ${(y / 1000).toPrecision(4)} us, neighbours' line ${(line / 1000).toPrecision(4)} us`,
      );
    }
  }
  return found;
}
