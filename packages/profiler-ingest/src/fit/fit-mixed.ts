/**
 * Chunk and decodes together as a low-rank product of two grids,
 *   t(q, c, n, k) = sum over r of chunk_r(q, c) * decode_r(n, k),
 * fitted to all measured mixes by alternating least squares on relative errors: with one side held,
 * the other is a linear problem. Starts from "chunk alone + decodes".
 */
import type { AttentionPoints } from '@astrolabe/profile';
import { Corners, fitGrid, type Knots } from './fit-grid.js';
import { LeastSquares } from './least-squares.js';

interface MixedFit {
  readonly rank: number;
  /** rank consecutive values per knot. */
  readonly chunk: Float64Array;
  readonly decode: Float64Array;
}

const sweeps = 30;

/** @param weight of a point's squared relative error; 0 leaves it out */
export function fitMixed(
  points: AttentionPoints,
  chunkKnots: Knots,
  decodeKnots: Knots,
  rank: number,
  weight: (index: number) => number,
): MixedFit {
  const chunkSide = locateAll(chunkKnots, points.chunk, points.context);
  const decodeSide = locateAll(decodeKnots, points.decodes, points.decodeContext);
  const weights = Float64Array.from(points.timeNs, (ns, i) => weight(i) / (ns * ns));
  let { chunk, decode } = start(points, chunkKnots, decodeKnots, rank, weight);
  for (let sweep = 0; sweep < sweeps; sweep++) {
    chunk = solveSide(points.timeNs, weights, chunkSide, decodeSide, chunk, decode, rank);
    decode = solveSide(points.timeNs, weights, decodeSide, chunkSide, decode, chunk, rank);
  }
  return { rank, chunk, decode };
}

/** Values of the product at every point. */
export function predictMixed(
  points: AttentionPoints,
  chunkKnots: Knots,
  decodeKnots: Knots,
  fit: MixedFit,
): Float64Array {
  const chunkSide = locateAll(chunkKnots, points.chunk, points.context);
  const decodeSide = locateAll(decodeKnots, points.decodes, points.decodeContext);
  const left = new Float64Array(fit.rank);
  const right = new Float64Array(fit.rank);
  return points.timeNs.map((_, p) => {
    evaluate(chunkSide, p, fit.chunk, left);
    evaluate(decodeSide, p, fit.decode, right);
    return left.reduce((sum, value, r) => sum + value * right[r], 0);
  });
}

interface Side {
  readonly size: number;
  /** Four knots and weights per point. */
  readonly index: Int32Array;
  readonly weight: Float64Array;
}

function locateAll(knots: Knots, row: Float64Array, column: Float64Array): Side {
  const corners = new Corners();
  const index = new Int32Array(row.length * 4);
  const weight = new Float64Array(row.length * 4);
  for (let p = 0; p < row.length; p++) {
    corners.locate(knots, row[p], column[p]);
    index.set(corners.index, p * 4);
    weight.set(corners.weight, p * 4);
  }
  return { size: knots.rows.length * knots.columns.length, index, weight };
}

function evaluate(side: Side, point: number, values: Float64Array, result: Float64Array): void {
  const rank = result.length;
  result.fill(0);
  for (let i = 0; i < 4; i++) {
    const at = side.index[point * 4 + i] * rank;
    const weight = side.weight[point * 4 + i];
    for (let r = 0; r < rank; r++) result[r] += weight * values[at + r];
  }
}

function solveSide(
  target: Float64Array,
  weights: Float64Array,
  own: Side,
  other: Side,
  previous: Float64Array,
  held: Float64Array,
  rank: number,
): Float64Array {
  const system = new LeastSquares(own.size * rank);
  const factors = new Float64Array(rank);
  const indices = new Int32Array(4 * rank);
  const values = new Float64Array(4 * rank);
  for (let p = 0; p < target.length; p++) {
    if (weights[p] === 0) continue;
    evaluate(other, p, held, factors);
    let terms = 0;
    for (let i = 0; i < 4; i++) {
      const share = own.weight[p * 4 + i];
      if (share === 0) continue;
      for (let r = 0; r < rank; r++) {
        indices[terms] = own.index[p * 4 + i] * rank + r;
        values[terms++] = share * factors[r];
      }
    }
    system.add(indices, values, terms, target[p], weights[p]);
  }
  system.ridge(previous, 1e-5);
  return system.solve();
}

/**
 * The chunk's own time; the decodes' own time; and a term of chunk length times decode count: the
 * kernel launches a tile of the chunk's length for every decode.
 */
function start(
  points: AttentionPoints,
  chunkKnots: Knots,
  decodeKnots: Knots,
  rank: number,
  weight: (index: number) => number,
): MixedFit {
  const fewest = points.decodes.reduce((least, n) => Math.min(least, n), Number.POSITIVE_INFINITY);
  const shortest = points.chunk.reduce((least, q) => Math.min(least, q), Number.POSITIVE_INFINITY);
  const alone = fitGrid(
    { row: points.chunk, column: points.context, ns: points.timeNs },
    chunkKnots,
    (i) => points.decodes[i] !== fewest || weight(i) === 0,
  );
  const extra = fitGrid(
    { row: points.decodes, column: points.decodeContext, ns: points.timeNs },
    decodeKnots,
    (i) => points.chunk[i] !== shortest || weight(i) === 0,
  );
  const chunk = new Float64Array(alone.length * rank);
  const decode = new Float64Array(extra.length * rank);
  const chunkWidth = chunkKnots.columns.length;
  const longest = chunkKnots.rows[chunkKnots.rows.length - 1];
  for (let i = 0; i < alone.length; i++) {
    const length = chunkKnots.rows[Math.floor(i / chunkWidth)] / longest;
    for (let r = 0; r < rank; r++) {
      chunk[i * rank + r] = r === 0 ? alone[i] : extra[0] * length ** (r - 1);
    }
  }
  const decodeWidth = decodeKnots.columns.length;
  for (let i = 0; i < extra.length; i++) {
    const count = decodeKnots.rows[Math.floor(i / decodeWidth)];
    decode[i * rank] = 1;
    for (let r = 1; r < rank; r++) decode[i * rank + r] = r === 1 ? extra[i] / extra[0] : count / r;
  }
  return { rank, chunk, decode };
}
