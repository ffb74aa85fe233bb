/** GEMMs known by their sizes only, named as the operators of a model that they are. */
import { kvHeadsPerRank, type ModelShape } from '@astrolabe/config';

/**
 * @param k inner size. @param n columns per rank
 * @returns our operator's name, or gemm_<k>_<n> for any other
 */
export function gemmOperator(
  shape: ModelShape | undefined,
  tp: number,
  k: number,
  n: number,
): string {
  if (shape !== undefined) {
    const h = shape.hiddenSize;
    const q = (shape.numHeads * shape.headDim) / tp;
    const kv = kvHeadsPerRank(shape, tp) * shape.headDim;
    const inner = shape.intermediateSize / tp;
    const known: [string, number, number][] = [
      ['qkv_proj', h, q + 2 * kv],
      ['o_proj', q, h],
      ['gate_up_proj', h, 2 * inner],
      ['down_proj', inner, h],
      ['lm_head', h, shape.vocabSize / tp],
    ];
    const found = known.find(([, inner_, columns]) => inner_ === k && columns === n);
    if (found !== undefined) return found[0];
  }
  return `gemm_${k}_${n}`;
}
