/**
 * CUDA-graph capture sizes of vLLM (O2, no speculative decoding) and the padding they cause: 1, 2, 4,
 * every 8 below 256, every 16 from there, up to min(2 * max_num_seqs, 512, max_num_batched_tokens).
 * A larger batch runs without a graph, unpadded (vLLM's `VllmConfig._set_cudagraph_sizes`).
 */
const captureSizeLimit = 512;

export function captureSizes(maxNumSeqs: number, maxNumBatchedTokens: number): number[] {
  const largest = Math.min(2 * maxNumSeqs, captureSizeLimit, maxNumBatchedTokens);
  const sizes = [1, 2, 4];
  for (let size = 8; size < 256; size += 8) sizes.push(size);
  for (let size = 256; size <= captureSizeLimit; size += 16) sizes.push(size);
  return sizes.filter((size) => size <= largest);
}

/** `padded[tokens]` for tokens up to the largest captured size. */
export function paddingTable(sizes: readonly number[]): Int32Array {
  const largest = sizes.at(-1) ?? 0;
  const padded = new Int32Array(largest + 1);
  let next = 0;
  for (let tokens = 1; tokens <= largest; tokens++) {
    if (tokens > sizes[next]) next++;
    padded[tokens] = sizes[next];
  }
  return padded;
}

/** @returns tokens after padding; unchanged beyond the table */
export function padTokens(table: Int32Array, tokens: number): number {
  return tokens < table.length ? table[tokens] : tokens;
}
