/**
 * Measured attention times as regular grids. The measured grid is ragged (each chunk and decode
 * count has its own context points); holes are filled at load and a lookup is up to 16 reads. Three
 * grids: decodes alone (n x kd), a chunk alone (q x c), both together (q x c x n x kd). Contexts are
 * interpolated linearly; chunk length and, in a mix, decode count over the shape that the work gives
 * the time (`AttentionShape`), which is not linear in them. Log-space interpolation overestimates by
 * 12 % (leave-one-out on LLMServingSim's bundles). Batches with chunk and decodes that were not measured
 * together (256 decodes fill every slot) are the largest measured mix plus what more decodes cost
 * alone. Times in ns.
 */
import { GrowableInt32 } from '@astrolabe/base';
import { AttentionShape } from './attention-shape.js';
import { Grid } from './grid.js';

/** Measured batches as columns: one chunk after its context, beside decodes at one context each. */
export interface AttentionPoints {
  readonly chunk: Float64Array;
  readonly context: Float64Array;
  readonly decodes: Float64Array;
  readonly decodeContext: Float64Array;
  readonly timeNs: Float64Array;
}

type Axis = 'chunk' | 'context' | 'decodes' | 'decodeContext';

/** A grid over some of the keys, and the shape its values are relative to. */
interface ShapedGrid {
  readonly grid: Grid;
  /** Without one, interpolation is plainly linear. */
  readonly shape: AttentionShape | undefined;
}

export class AttentionGrid {
  readonly minChunk: number;
  readonly maxChunk: number;
  /** Of the last lookup: one of `lookupState`. */
  state = 0;
  private readonly decode: ShapedGrid | undefined;
  private readonly prefill: ShapedGrid | undefined;
  private readonly mixed: ShapedGrid | undefined;
  private readonly topMixed: number;

  /** @param plain interpolate times themselves, without a shape: to measure what the shape gains */
  constructor(points: AttentionPoints, plain = false) {
    const decodeRows = rowsWhere(points, false, true);
    this.decode = shapedGrid(points, decodeRows, ['decodes', 'decodeContext'], true);
    const chunkRows = rowsWhere(points, true, false);
    this.prefill = shapedGrid(points, chunkRows, ['chunk', 'context'], plain);
    const mixedRows = rowsWhere(points, true, true);
    const all: readonly Axis[] = ['chunk', 'context', 'decodes', 'decodeContext'];
    this.mixed = shapedGrid(points, mixedRows, all, plain);
    this.topMixed = mixedRows.reduce((most, i) => Math.max(most, points.decodes[i]), 0);
    const chunks = this.prefill?.grid.axes[0] ?? this.mixed?.grid.axes[0];
    this.minChunk = chunks?.[0] ?? 1;
    this.maxChunk = chunks?.[chunks.length - 1] ?? Number.POSITIVE_INFINITY;
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
    const { grid, shape } = this.mixed;
    let timeNs =
      shape === undefined
        ? grid.at4(chunk, context, n, decodeContext)
        : grid.at4Shaped(shape, chunk, context, n, decodeContext);
    let state = grid.state;
    if (decodes > n) {
      timeNs += this.decodeAt(decodes, decodeContext) - this.decodeAt(n, decodeContext);
      state = Math.max(state, this.state, 1);
    }
    this.state = state;
    return timeNs;
  }

  private decodeAt(decodes: number, decodeContext: number): number {
    if (decodes <= 0 || this.decode === undefined) return 0;
    const { grid } = this.decode;
    const timeNs = grid.at2(decodes, decodeContext);
    this.state = grid.state;
    return timeNs;
  }

  private prefillAt(chunk: number, context: number): number {
    if (this.prefill === undefined) return 0;
    const { grid, shape } = this.prefill;
    const timeNs =
      shape === undefined ? grid.at2(chunk, context) : grid.at2Shaped(shape, chunk, context);
    this.state = grid.state;
    return timeNs;
  }
}

/** @returns undefined without rows */
function shapedGrid(
  points: AttentionPoints,
  rows: Int32Array,
  axes: readonly Axis[],
  plain: boolean,
): ShapedGrid | undefined {
  if (rows.length === 0) return undefined;
  const keys = axes.map((axis) => pick(points[axis], rows));
  const times = pick(points.timeNs, rows);
  if (plain) return { grid: Grid.fromPoints(keys, times) as Grid, shape: undefined };
  const shape = AttentionShape.fit(points, rows);
  return { grid: Grid.fromPoints(keys, times, shape) as Grid, shape };
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
