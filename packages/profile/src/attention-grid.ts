/**
 * Measured attention times as regular grids. The measured grid is ragged (each chunk and decode
 * count has its own context points); every slice is filled linearly onto the union of all points at
 * load, which gives the same answers as interpolating the ragged slices and makes a lookup up to 16
 * reads. Three grids: decodes alone (n x kd), a chunk alone (q x c), both together (q x c x n x kd).
 * Batches with chunk and decodes that were not measured together (256 decodes fill every slot) are
 * the largest measured mix plus what more decodes cost alone. Lookups are linear: log-space
 * interpolation overestimates by 12 % (measured by leaving points out, formats.md of the design
 * notes). Times in ns.
 */
import { GrowableInt32 } from '@astrolabe/base';
import { Grid } from './grid.js';

/** Measured batches as columns: one chunk after its context, beside decodes at one context each. */
export interface AttentionPoints {
  readonly chunk: Float64Array;
  readonly context: Float64Array;
  readonly decodes: Float64Array;
  readonly decodeContext: Float64Array;
  readonly timeNs: Float64Array;
}

export class AttentionGrid {
  readonly decode: Grid | undefined;
  readonly prefill: Grid | undefined;
  private readonly mixed: Grid | undefined;
  readonly minChunk: number;
  readonly maxChunk: number;
  /** Of the last lookup: one of `lookupState`. */
  state = 0;

  constructor(points: AttentionPoints) {
    const { chunk, context, decodes, decodeContext, timeNs } = points;
    const decodeRows = rowsWhere(points, false, true);
    const prefillRows = rowsWhere(points, true, false);
    const mixedRows = rowsWhere(points, true, true);
    this.decode = Grid.fromPoints(
      [pick(decodes, decodeRows), pick(decodeContext, decodeRows)],
      pick(timeNs, decodeRows),
    );
    this.prefill = Grid.fromPoints(
      [pick(chunk, prefillRows), pick(context, prefillRows)],
      pick(timeNs, prefillRows),
      undefined,
      continueByWork,
    );
    this.mixed = this.mixedGrid(
      [chunk, context, decodes, decodeContext].map((column) => pick(column, mixedRows)),
      pick(timeNs, mixedRows),
    );
    const chunks = this.prefill?.axes[0] ?? this.mixed?.axes[0];
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
    const time = this.mixed.at4(chunk, context, decodes, decodeContext);
    this.state = this.mixed.state;
    return time;
  }

  private decodeAt(decodes: number, decodeContext: number): number {
    if (decodes <= 0 || this.decode === undefined) return 0;
    const time = this.decode.at2(decodes, decodeContext);
    this.state = this.decode.state;
    return time;
  }

  private prefillAt(chunk: number, context: number): number {
    if (this.prefill === undefined) return 0;
    const time = this.prefill.at2(chunk, context);
    this.state = this.prefill.state;
    return time;
  }

  private mixedGrid(keys: readonly Float64Array[], timesNs: Float64Array): Grid | undefined {
    const { decode, prefill } = this;
    if (decode === undefined || prefill === undefined) return undefined;
    const grid = Grid.fromPoints(keys, timesNs, decode.axes[0]);
    if (grid === undefined) return undefined;
    const counts = grid.axes[2];
    const top = counts.indexOf(keys[2].reduce((largest, n) => Math.max(largest, n), 0));
    for (let ni = top + 1; ni < counts.length; ni++) addDecodes(grid, decode, top, ni);
    return grid;
  }
}

/**
 * A chunk measured after short contexts only: more context costs what it costs the next shorter
 * chunk that was measured there, per token of the chunk.
 */
function continueByWork(grid: Grid): void {
  const [chunks, contexts] = grid.axes;
  const { values } = grid;
  for (let qi = 1; qi < chunks.length; qi++) {
    const row = qi * contexts.length;
    let last = contexts.length - 1;
    while (last >= 0 && Number.isNaN(values[row + last])) last--;
    if (last < 0) continue;
    for (let ci = last + 1; ci < contexts.length; ci++) {
      let shorter = qi - 1;
      while (shorter >= 0 && Number.isNaN(values[shorter * contexts.length + ci])) shorter--;
      if (shorter < 0) break;
      const from = shorter * contexts.length;
      const more = values[from + ci] - values[from + last];
      if (Number.isNaN(more)) break;
      values[row + ci] = values[row + last] + more * (chunks[qi] / chunks[shorter]);
    }
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

/** Fills decode count `ni` from `top`: t(q, c, n, k) = t(q, c, top, k) + decode(n, k) - decode(top, k). */
function addDecodes(grid: Grid, decode: Grid, top: number, ni: number): void {
  const [chunks, contexts, counts, decodeContexts] = grid.axes;
  for (let ki = 0; ki < decodeContexts.length; ki++) {
    const k = decodeContexts[ki];
    const more = decode.at2(counts[ni], k) - decode.at2(counts[top], k);
    for (let qi = 0; qi < chunks.length; qi++) {
      for (let ci = 0; ci < contexts.length; ci++) {
        const row = (qi * contexts.length + ci) * counts.length;
        const from = (row + top) * decodeContexts.length + ki;
        const to = (row + ni) * decodeContexts.length + ki;
        grid.values[to] = grid.values[from] + more;
        grid.measured[to] = 0;
      }
    }
  }
}
