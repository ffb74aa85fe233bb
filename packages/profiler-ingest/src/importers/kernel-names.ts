/** Operators guessed from kernel names, where nothing links a kernel to its operator. */
const patterns: readonly (readonly [RegExp, string])[] = [
  [/all_?reduce|AllReduce/, 'all_reduce'],
  [/all_?gather|AllGather/, 'all_gather'],
  [/reduce_?scatter|ReduceScatter/, 'reduce_scatter'],
  [/all_?to_?all|SendRecv/i, 'send_recv'],
  [/reshape_and_cache|cache_kernel/, 'kv_write'],
  [/flash|fmha|attention|attn|paged/i, 'attention'],
  [/moe|topk|expert/i, 'moe'],
  [/rms_?norm|layer_?norm/i, 'layernorm'],
  [/rotary|rope/i, 'rotary_emb'],
  [/silu|swiglu|gelu|act_and_mul/i, 'act_fn'],
  [/embedding|gather/i, 'embedding'],
  [/gemm|gemv|cutlass|cublas|matmul|nvjet|wgmma|xmma|splitk/i, 'gemm'],
  [/argmax|softmax|sampl|topk/i, 'sampler'],
  [/memcpy|memset/i, 'copy'],
];

export function kernelOperator(kernel: string): string {
  return patterns.find(([pattern]) => pattern.test(kernel))?.[1] ?? 'other';
}
