/**
 * MoE block time over (tokens, activated experts), ragged: few tokens cannot reach many experts.
 * Bilinear inside; a missing corner continues its row, as in every grid. Times in ns.
 */
import { Grid } from './grid.js';

export class MoeGrid {
  private readonly grid: Grid;

  private constructor(grid: Grid) {
    this.grid = grid;
  }

  /** @param grid over (activated experts, tokens) */
  static fromGrid(grid: Grid): MoeGrid {
    return new MoeGrid(grid);
  }

  /** @param points (tokens, activated experts, ns), not empty */
  static fromPoints(points: readonly (readonly [number, number, number])[]): MoeGrid {
    const grid = Grid.fromPoints(
      [1, 0].map((key) => Float64Array.from(points, (point) => point[key])),
      Float64Array.from(points, (point) => point[2]),
    );
    return new MoeGrid(grid as Grid);
  }

  /** Of the last lookup: one of `lookupState`. */
  get state(): number {
    return this.grid.state;
  }

  at(tokens: number, activatedExperts: number): number {
    return this.grid.at2(activatedExperts, tokens);
  }
}
