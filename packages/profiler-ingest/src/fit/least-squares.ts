/**
 * Weighted linear least squares with sparse rows: a few unknowns at a time through the normal
 * equations and Cholesky. Small problems (hundreds of unknowns, tens of thousands of rows).
 */
import { assert } from '@astrolabe/base';

/** Accumulates rows `sum of value[i] * x[index[i]] = target`, each with a weight, then solves. */
export class LeastSquares {
  readonly size: number;
  private readonly matrix: Float64Array;
  private readonly right: Float64Array;

  constructor(size: number) {
    this.size = size;
    this.matrix = new Float64Array(size * size);
    this.right = new Float64Array(size);
  }

  /** @param terms how many of `indices` and `values` count */
  add(
    indices: ArrayLike<number>,
    values: ArrayLike<number>,
    terms: number,
    target: number,
    weight: number,
  ): void {
    const { matrix, right, size } = this;
    for (let i = 0; i < terms; i++) {
      const row = indices[i];
      const scaled = values[i] * weight;
      right[row] += scaled * target;
      for (let j = 0; j < terms; j++) matrix[row * size + indices[j]] += scaled * values[j];
    }
  }

  /**
   * Pulls the solution towards `prior`, relative to how well each unknown is determined: unknowns
   * without data take the prior, others hardly move.
   */
  ridge(prior: ArrayLike<number>, strength: number): void {
    const { matrix, right, size } = this;
    let trace = 0;
    for (let i = 0; i < size; i++) trace += matrix[i * size + i];
    const floor = (trace / size) * 1e-9 + 1e-300;
    for (let i = 0; i < size; i++) {
      const weight = matrix[i * size + i] * strength + floor;
      matrix[i * size + i] += weight;
      right[i] += weight * prior[i];
    }
  }

  solve(): Float64Array {
    const { size } = this;
    const lower = Float64Array.from(this.matrix);
    for (let j = 0; j < size; j++) {
      for (let k = 0; k < j; k++) {
        const factor = lower[j * size + k];
        if (factor === 0) continue;
        for (let i = j; i < size; i++) lower[i * size + j] -= lower[i * size + k] * factor;
      }
      const pivot = lower[j * size + j];
      assert(pivot > 0, 'the normal equations are singular');
      const root = Math.sqrt(pivot);
      for (let i = j; i < size; i++) lower[i * size + j] /= root;
    }
    const x = Float64Array.from(this.right);
    for (let i = 0; i < size; i++) {
      for (let k = 0; k < i; k++) x[i] -= lower[i * size + k] * x[k];
      x[i] /= lower[i * size + i];
    }
    for (let i = size - 1; i >= 0; i--) {
      for (let k = i + 1; k < size; k++) x[i] -= lower[k * size + i] * x[k];
      x[i] /= lower[i * size + i];
    }
    return x;
  }
}
