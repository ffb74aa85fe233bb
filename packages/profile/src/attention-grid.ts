/**
 * Measured attention times as regular grids. The measured grid is ragged (each chunk and decode
 * count has its own context points); holes are filled at load and a lookup is up to 16 reads. Three
 * grids: decodes alone (n x kd), a chunk alone (q x c), both together (q x c x n x kd), each holding
 * time over the shape that its work gives it (`AttentionShape`) and interpolated linearly; log-space
 * interpolation overestimates by 12 % (formats.md of the design notes). Batches with chunk and
 * decodes that were not measured together (256 decodes fill every slot) are the largest measured mix
 * plus what more decodes cost alone. Times in ns.
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
  readonly shape: AttentionShape;
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

  constructor(points: AttentionPoints) {
    this.decode = shaped(points, rowsWhere(points, false, true), ['decodes', 'decodeContext']);
    this.prefill = shaped(points, rowsWhere(points, true, false), ['chunk', 'context']);
    const mixedRows = rowsWhere(points, true, true);
    const all: readonly Axis[] = ['chunk', 'context', 'decodes', 'decodeContext'];
    this.mixed = shaped(points, mixedRows, all);
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
    const ratio = grid.at4(chunk, context, n, decodeContext);
    let timeNs = ratio * shape.at(chunk, context, n, decodeContext);
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
    const { grid, shape } = this.decode;
    const ratio = grid.at2(decodes, decodeContext);
    this.state = grid.state;
    return ratio * shape.at(0, 0, decodes, decodeContext);
  }

  private prefillAt(chunk: number, context: number): number {
    if (this.prefill === undefined) return 0;
    const { grid, shape } = this.prefill;
    const ratio = grid.at2(chunk, context);
    this.state = grid.state;
    return ratio * shape.at(chunk, context, 0, 0);
  }
}

/** @returns undefined without rows */
function shaped(
  points: AttentionPoints,
  rows: Int32Array,
  axes: readonly Axis[],
): ShapedGrid | undefined {
  if (rows.length === 0) return undefined;
  const shape = AttentionShape.fit(points, rows);
  const { chunk, context, decodes, decodeContext } = points;
  const ratios = new Float64Array(rows.length);
  for (let r = 0; r < rows.length; r++) {
    const i = rows[r];
    ratios[r] = points.timeNs[i] / shape.at(chunk[i], context[i], decodes[i], decodeContext[i]);
  }
  const keys = axes.map((axis) => pick(points[axis], rows));
  return { grid: Grid.fromPoints(keys, ratios, true) as Grid, shape };
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
