/**
 * The rough shape of attention time: what its work must make of it, whatever the kernel. Over chunk
 * length and decode count tables are interpolated as measured time over this shape, which varies far
 * less between their points than the time itself (figures: docs/profiles.md). Beyond the grid the
 * ratio holds and the shape goes on.
 *
 * A weighted sum, weights not negative and fitted to the grid by least squares on relative errors:
 * a constant, q (c + q / 2) pairs of the chunk, n k keys of the decodes, n, q, n q (every decode gets
 * tiles of the chunk's length), c, k.
 */
import type { AttentionPoints } from './attention-grid.js';

const terms = 8;
const sweeps = 300;

export class AttentionShape {
  private readonly weights: Float64Array;

  constructor(weights: Float64Array) {
    this.weights = weights;
  }

  /** @param rows of the points to fit, not empty */
  static fit(points: AttentionPoints, rows: Int32Array): AttentionShape {
    const matrix = new Float64Array(terms * terms);
    const right = new Float64Array(terms);
    const row = new Float64Array(terms);
    for (const i of rows) {
      // Errors are relative: a time of 0 says nothing.
      if (!(points.timeNs[i] > 0)) continue;
      fill(row, points.chunk[i], points.context[i], points.decodes[i], points.decodeContext[i]);
      const scale = 1 / points.timeNs[i];
      for (let a = 0; a < terms; a++) {
        right[a] += row[a] * scale;
        for (let b = 0; b < terms; b++) matrix[a * terms + b] += row[a] * row[b] * scale * scale;
      }
    }
    return new AttentionShape(solveNotNegative(matrix, right));
  }

  /** ns, greater than 0 wherever there is work. */
  at(q: number, c: number, n: number, k: number): number {
    const w = this.weights;
    return (
      w[0] +
      w[1] * q * (c + q / 2) +
      w[2] * n * k +
      w[3] * n +
      w[4] * q +
      w[5] * n * q +
      w[6] * c +
      w[7] * k
    );
  }
}

function fill(row: Float64Array, q: number, c: number, n: number, k: number): void {
  row[0] = 1;
  row[1] = q * (c + q / 2);
  row[2] = n * k;
  row[3] = n;
  row[4] = q;
  row[5] = n * q;
  row[6] = c;
  row[7] = k;
}

/** Coordinate descent on the normal equations; a term that never occurs keeps weight 0. */
function solveNotNegative(matrix: Float64Array, right: Float64Array): Float64Array {
  const x = new Float64Array(terms);
  for (let sweep = 0; sweep < sweeps; sweep++) {
    for (let a = 0; a < terms; a++) {
      const diagonal = matrix[a * terms + a];
      if (diagonal === 0) continue;
      let rest = right[a];
      for (let b = 0; b < terms; b++) if (b !== a) rest -= matrix[a * terms + b] * x[b];
      x[a] = Math.max(0, rest / diagonal);
    }
  }
  // A floor keeps the shape positive: the launch itself takes a microsecond.
  if (x[0] < 1000) x[0] = 1000;
  return x;
}
