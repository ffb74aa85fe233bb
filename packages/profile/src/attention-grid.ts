/**
 * Measured attention times as regular grids. The measured grid is ragged (each chunk and decode
 * count has its own context points); holes are filled at load and a lookup is up to 16 reads. Three
 * grids: decodes alone (n x kd), a chunk alone (q x c), both together (q x c x n x kd). Contexts are
 * interpolated linearly; chunk length and, in a mix, decode count over the shape that the work gives
 * the time (`AttentionShape`), which is not linear in them. Log-space interpolation overestimates by
 * 12 % (leave-one-out on LLMServingSim's bundles). Batches with chunk and decodes that were not measured
 * together (256 decodes fill every slot) are the largest measured mix plus what more decodes cost
 * alone. Points that form no grid are looked up by their neighbours (`ScatteredTimes`). Times in ns.
 */
import { GrowableInt32 } from '@astrolabe/base';
import { AttentionShape } from './attention-shape.js';
import { Grid, type GridShape } from './grid.js';
import { fillsGrid, ScatteredTimes } from './scattered-times.js';

/** Measured batches as columns: one chunk after its context, beside decodes at one context each. */
export interface AttentionPoints {
  readonly chunk: Float64Array;
  readonly context: Float64Array;
  readonly decodes: Float64Array;
  readonly decodeContext: Float64Array;
  readonly timeNs: Float64Array;
}

type Axis = 'chunk' | 'context' | 'decodes' | 'decodeContext';

/** One kind of batches: a grid over those of the keys that vary in it, or scattered points. */
interface Batches {
  /** Of the last lookup: one of `lookupState`. */
  readonly state: number;
  at(chunk: number, context: number, decodes: number, decodeContext: number): number;
}

const decodeAxes: readonly Axis[] = ['decodes', 'decodeContext'];
const chunkAxes: readonly Axis[] = ['chunk', 'context'];
const allAxes: readonly Axis[] = ['chunk', 'context', 'decodes', 'decodeContext'];

export class AttentionGrid {
  readonly minChunk: number;
  readonly maxChunk: number;
  /** Of the last lookup: one of `lookupState`. */
  state = 0;
  private readonly decode: Batches | undefined;
  private readonly prefill: Batches | undefined;
  private readonly mixed: Batches | undefined;
  private readonly topMixed: number;

  /** @param plain interpolate times themselves, without a shape: to measure what the shape gains */
  constructor(points: AttentionPoints, plain = false) {
    const decodeRows = rowsWhere(points, false, true);
    this.decode = batchesOf(points, decodeRows, decodeAxes, plain);
    const chunkRows = rowsWhere(points, true, false);
    this.prefill = batchesOf(points, chunkRows, chunkAxes, plain);
    const mixedRows = rowsWhere(points, true, true);
    this.mixed = batchesOf(points, mixedRows, allAxes, plain);
    this.topMixed = mixedRows.reduce((most, i) => Math.max(most, points.decodes[i]), 0);
    const chunks = pick(points.chunk, chunkRows.length > 0 ? chunkRows : mixedRows);
    this.minChunk = chunks.reduce((least, q) => Math.min(least, q), chunks[0] ?? 1);
    const most = chunks.reduce((top, q) => Math.max(top, q), 0);
    this.maxChunk = most > 0 ? most : Number.POSITIVE_INFINITY;
  }

  get knowsDecodes(): boolean {
    return this.decode !== undefined;
  }

  get knowsChunks(): boolean {
    return this.prefill !== undefined;
  }

  /** @returns ns, a float; `state` tells how it was found. A zero chunk and zero decodes are 0 ns. */
  at(chunk: number, context: number, decodes: number, decodeContext: number): number {
    if (chunk <= 0) return this.decodeAt(decodes, decodeContext);
    if (decodes <= 0) return this.prefillAt(chunk, context);
    if (this.mixed === undefined) {
      // Measured apart: as two kernels, one after the other.
      const alone = this.prefillAt(chunk, context);
      const prefillState = this.state;
      const total = alone + this.decodeAt(decodes, decodeContext);
      this.state = Math.max(this.state, prefillState);
      return total;
    }
    const n = Math.min(decodes, this.topMixed);
    let timeNs = this.mixed.at(chunk, context, n, decodeContext);
    let { state } = this.mixed;
    if (decodes > n) {
      const more = this.decodeAt(decodes, decodeContext) - this.decodeAt(n, decodeContext);
      timeNs += Math.max(0, more);
      state = Math.max(state, this.state, 1);
    }
    this.state = state;
    return timeNs;
  }

  private decodeAt(decodes: number, decodeContext: number): number {
    if (decodes <= 0 || this.decode === undefined) return 0;
    const timeNs = this.decode.at(0, 0, decodes, decodeContext);
    this.state = this.decode.state;
    return timeNs;
  }

  private prefillAt(chunk: number, context: number): number {
    if (this.prefill === undefined) return 0;
    const timeNs = this.prefill.at(chunk, context, 0, 0);
    this.state = this.prefill.state;
    return timeNs;
  }
}

/**
 * Decodes are interpolated linearly, unless they are of one count only, or at one context only: then the
 * shape tells what others take.
 * @returns undefined without rows
 */
function batchesOf(
  points: AttentionPoints,
  rows: Int32Array,
  axes: readonly Axis[],
  plain: boolean,
): Batches | undefined {
  if (rows.length === 0) return undefined;
  const keys = axes.map((axis) => pick(points[axis], rows));
  const times = pick(points.timeNs, rows);
  if (!plain && !fillsGrid(keys)) {
    const shape = thinShape(points, rows, axes);
    const all = allAxes.map((axis) => pick(points[axis], rows));
    return new ScatteredTimes(all, times, shape);
  }
  const isFlat = keys.some((column) => column.every((key) => key === column[0]));
  if (plain || (axes === decodeAxes && !isFlat)) return new GridTimes(axes, keys, times, undefined);
  const shape = isFlat ? thinShape(points, rows, axes) : AttentionShape.fit(points, rows);
  const ofDecodes: GridShape = { at: (n, k) => shape.at(0, 0, n, k) };
  return new GridTimes(axes, keys, times, axes === decodeAxes ? ofDecodes : shape);
}

/** Few mixes, or all alike in a key, do not tell what each part of the work takes: all kinds together do. */
function thinShape(
  points: AttentionPoints,
  rows: Int32Array,
  axes: readonly Axis[],
): AttentionShape {
  return AttentionShape.fit(
    points,
    axes === allAxes ? Int32Array.from(points.timeNs.keys()) : rows,
  );
}

class GridTimes implements Batches {
  private readonly axes: readonly Axis[];
  private readonly grid: Grid;
  /** Without one, interpolation is plainly linear. */
  private readonly shape: GridShape | undefined;

  constructor(
    axes: readonly Axis[],
    keys: readonly Float64Array[],
    times: Float64Array,
    shape: GridShape | undefined,
  ) {
    this.axes = axes;
    this.grid = Grid.fromPoints(keys, times, shape) as Grid;
    this.shape = shape;
  }

  get state(): number {
    return this.grid.state;
  }

  at(q: number, c: number, n: number, k: number): number {
    const { axes, grid, shape } = this;
    if (axes === allAxes) {
      return shape === undefined ? grid.at4(q, c, n, k) : grid.at4Shaped(shape, q, c, n, k);
    }
    const x = axes === decodeAxes ? n : q;
    const y = axes === decodeAxes ? k : c;
    return shape === undefined ? grid.at2(x, y) : grid.at2Shaped(shape, x, y);
  }
}

function rowsWhere(points: AttentionPoints, withChunk: boolean, withDecodes: boolean): Int32Array {
  const rows = new GrowableInt32(1024);
  for (let i = 0; i < points.timeNs.length; i++) {
    if (points.chunk[i] > 0 === withChunk && points.decodes[i] > 0 === withDecodes) rows.push(i);
  }
  return rows.toArray();
}

function pick(column: Float64Array, rows: Int32Array): Float64Array {
  const picked = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) picked[i] = column[rows[i]];
  return picked;
}
