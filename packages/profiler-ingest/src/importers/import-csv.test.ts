/** Goal: each profiler's CSV becomes the same kinds of rows, in ns. Method: a row or two of each. */
import { rowsOf } from '@astrolabe/profile';
import { describe, expect, test } from 'vitest';
import { importCsvFiles } from './import-csv.js';

const names = { hardware: 'GPU', model: 'org/Model', dtype: 'bf16' };
const options = { tp: 1, shape: undefined, clockGHz: undefined };

function read(
  text: string,
  given: Partial<typeof options> & { clockGHz?: number | undefined } = {},
) {
  const table = importCsvFiles([{ at: 'f.csv', text }], names, { ...options, ...given });
  return { rows: [...rowsOf(table)], info: table.info };
}

const stats = (operator: string): string => `time_stats.${operator}.median`;

test('Vidur mlp: ms, ours operator names, TP from the rows; both norms average', () => {
  const header = [
    stats('attn_pre_proj'),
    stats('input_layernorm'),
    'num_tokens',
    'num_tensor_parallel_workers',
  ];
  const { rows, info } = read(`${header.join()}\n0.2,0.02,128,4\n,0.03,256,4\n`);
  expect(rows[1]).toEqual({
    kind: 'dense',
    operator: 'qkv_proj',
    tp: 4,
    tokens: 128,
    durationNs: 200_000,
  });
  expect(rows.map((row) => row.operator)).toEqual(['layernorm', 'qkv_proj', 'layernorm']);
  expect(info).toMatchObject({ measurement: 'cuda_event' });
  expect(info.notes?.[0]).toContain('attn_pre_proj');
});

describe('attention of Vidur and of the v0 bundles', () => {
  const header =
    'time_stats.attn_prefill.median,time_stats.attn_decode.median,num_tensor_parallel_workers,' +
    'batch_size,prefill_chunk_size,kv_cache_size,is_prefill';

  test("a prefill's cache counts its own chunk; decodes are a batch at one context", () => {
    const { rows } = read(`${header}\n0.03,,1,1,128,512,True\n,0.05,1,8,0,1024,False\n`);
    expect(rows).toMatchObject([
      { tokens: 128, contextTokens: 384, sequences: 0, durationNs: 30_000 },
      { tokens: 0, sequences: 8, decodeContextTokens: 1024, durationNs: 50_000 },
    ]);
  });

  test('where a prefill has less cached than its chunk, none counts the chunk', () => {
    const rows = ['0.03,,1,1,128,0,True', '0.04,,1,1,128,128,True', '0.05,,1,1,128,256,True'];
    expect(read(`${header}\n${rows.join('\n')}\n`).rows).toMatchObject([
      { tokens: 128, contextTokens: 0, durationNs: 30_000 },
      { tokens: 128, contextTokens: 128, durationNs: 40_000 },
      { tokens: 128, contextTokens: 256, durationNs: 50_000 },
    ]);
  });

  test("the TPU profiler's cache does not; ns", () => {
    const tpu =
      'prefill_chunk_size,kv_cache_size,batch_size,is_prefill,p50_ns\n32,64,1,True,7440.2\n';
    expect(read(tpu).rows).toMatchObject([{ tokens: 32, contextTokens: 64, durationNs: 7440 }]);
  });
});

test('v0 layers: unfused operators are summed, the two norms averaged', () => {
  const text = `layer_name,input,kv_cache,tp_size,latency(ns)
q_proj,8,0,1,100
k_proj,8,0,1,20
v_proj,8,0,1,21
input_layernorm,8,0,1,10
post_layernorm,8,0,1,12
lm_head,8,0,1,900
gate_proj,8,0,1,50
`;
  const { rows, info } = read(text);
  expect(rows).toMatchObject([
    { operator: 'qkv_proj', tokens: 8, durationNs: 141 },
    { operator: 'gate_up_proj', durationNs: 50 },
    { operator: 'layernorm', durationNs: 11 },
    { operator: 'lm_head', kind: 'per_sequence', sequences: 8, durationNs: 900 },
  ]);
  expect(info.notes?.[0]).toContain('gate_up_proj is gate_proj alone');
});

test('v0 layers: where a compiler merged the up projection, each matrix gets a third', () => {
  const text = `layer_name,input,kv_cache,tp_size,latency(ns)
gate_proj,8,0,1,80
down_proj,8,0,1,160
gate_proj,512,0,1,90
up_proj,512,0,1,95
down_proj,512,0,1,94
`;
  const { rows, info } = read(text);
  const times = rows.map(({ operator, tokens, durationNs }) => [operator, tokens, durationNs]);
  expect(times.sort()).toEqual([
    ['down_proj', 512, 94],
    ['down_proj', 8, 80],
    ['gate_up_proj', 512, 185],
    ['gate_up_proj', 8, 160],
  ]);
  expect(info.notes?.[0]).toContain('at 1 sizes');
});

test('v0 experts: a gate and every activated expert with its share of the tokens', () => {
  const layers = ['gate', 'expert.w1', 'expert.w2', 'expert.w3'];
  const rows = layers.flatMap((name) => [1, 2, 4].map((t) => `${name},${t},0,1,${10 * t}`));
  const moe = read(`layer_name,input,kv_cache,tp_size,latency(ns)\n${rows.join('\n')}\n`).rows;
  // 2 tokens to 2 experts each, 4 activated: one token each, 30 ns an expert, gate 20.
  expect(moe.find((row) => row.tokens === 2 && row.activatedExperts === 4)?.durationNs).toBe(140);
});

test('Vidur collectives: mean over ranks', () => {
  const header = `${stats('all_reduce')},rank,num_workers,size,collective,devices_per_node`;
  const { rows } = read(`${header}\n0.04,0,2,2048,all_reduce,2\n0.06,1,2,2048,all_reduce,2\n`);
  expect(rows).toEqual([
    {
      kind: 'collective',
      operator: 'all_reduce',
      tp: 2,
      sequences: 2,
      sizeBytes: 2048,
      devicesPerNode: 2,
      durationNs: 50_000,
    },
  ]);
});

test('Frontier: the kind of measurement counts and never mixes within a file', () => {
  const header = `${stats('mlp_up_proj')},num_tokens,num_tensor_parallel_workers,measurement_type`;
  expect(read(`${header}\n0.1,1,1,KERNEL_ONLY\n`).info.measurement).toBe('kernel');
  expect(() => read(`${header}\n0.1,1,1,KERNEL_ONLY\n0.4,1,1,CUDA_EVENT\n`)).toThrow(
    /^f\.csv:3: measurement_type CUDA_EVENT after KERNEL_ONLY/,
  );
  const moe = 'time_stats.moe_gating.median,time_stats.moe_grouped_gemm.median,num_tokens,';
  const keys = 'num_experts_per_device,router_topk,num_tensor_parallel_workers';
  expect(read(`${moe}${keys}\n0.01,0.1,2,64,8,1\n`).rows).toMatchObject([
    { kind: 'moe', tokens: 2, activatedExperts: 16, durationNs: 110_000 },
  ]);
});

test('GEMMs by size: APEX us, AIConfigurator ms with power, LLMCompass cycles', () => {
  expect(read('gpu,dtype,m,k,n,time(us)\nH100,bf16,128,4096,6144,40.5\n').rows).toMatchObject([
    { operator: 'gemm_4096_6144', tokens: 128, durationNs: 40_500 },
  ]);
  const aic =
    'framework,version,device,op_name,m,n,k,latency,power\nvllm,1,H100,gemm,1,8,16,0.5,300\n';
  expect(read(aic).rows).toMatchObject([
    { operator: 'gemm_16_8', durationNs: 500_000, powerWatts: 300 },
  ]);
  const cycles = '16,32,64,128,128,os,1500,0.5\n32,32,64,128,128,os,3000,0.5\n';
  expect(read(cycles, { clockGHz: 1.5 as never }).rows).toMatchObject([
    { operator: 'gemm_64_32', tokens: 16, durationNs: 1000 },
    { tokens: 32, durationNs: 2000 },
  ]);
  expect(() => read(cycles)).toThrow(/times are in cycles/);
});

test('InferSim, splitwise, APEX links, Nsight sums, host times', () => {
  expect(read('s_q,s_kv,latency_us,mfu\n1,512,9,0\n64,512,20,0.1\n').rows).toMatchObject([
    { tokens: 0, sequences: 1, decodeContextTokens: 512, durationNs: 9000 },
    { tokens: 64, contextTokens: 448, sequences: 0 },
  ]);
  const whole =
    'model,hardware,prompt_size,batch_size,token_size,prompt_time,token_time,tensor_parallel\n';
  expect(read(`${whole}m,h,512,2,8,90,20,8\n`).rows).toMatchObject([
    { operator: 'prefill_step', tokens: 1024, tp: 8, durationNs: 90_000_000 },
    { operator: 'decode_step', sequences: 2, durationNs: 20_000_000 },
  ]);
  const link = 'gpu,num_nodes,num_gpus_per_node,dtype,size(kb),time(us)\nH100,2,8,bf16,4,30\n';
  expect(read(link).rows).toMatchObject([
    { kind: 'collective', sequences: 16, sizeBytes: 4096, durationNs: 30_000 },
  ]);
  const nsys =
    'Time (%),Total Time (ns),Instances,Avg (ns),Name\n50,4000,2,2000,"flash_fwd_kernel<a, b>"\n';
  expect(read(nsys).rows).toMatchObject([{ operator: 'attention', durationNs: 2000 }]);
  const host = 'batch_size,tensor_parallel_degree,schedule_median\n8,1,0.25\n';
  expect(read(host).rows).toMatchObject([{ operator: 'host_schedule', durationNs: 250_000 }]);
});

test('long CSV: unit from the column, unknown columns named', () => {
  const text = 'operator,kind,tokens,sequences,latency_us,note\nqkv_proj,dense,16,,3.5,x\n';
  const { rows, info } = read(text);
  expect(rows).toEqual([
    { kind: 'dense', operator: 'qkv_proj', tp: 1, tokens: 16, durationNs: 3500 },
  ]);
  expect(info.notes).toEqual(['columns ignored: note']);
  expect(() => read('operator,kind,latency_us\na,dnse,1\n')).toThrow(
    /^f\.csv:2: unknown kind "dnse"/,
  );
});

test('long CSV: what a row cannot be looked up without must be there', () => {
  const table = (...rows: readonly string[]) =>
    read(
      `operator,kind,tokens,sequences,context_tokens,size_bytes,latency_us\n${rows.join('\n')}\n`,
    );
  expect(() => table('qkv_proj,dense,4,,,,1', 'qkv_proj,dense,,4,,,1')).toThrow(
    'f.csv:3: a row of kind dense needs tokens',
  );
  expect(() => table('attention,attention,4,0,0,,1')).toThrow(
    'f.csv:2: a row of kind attention needs decode_context_tokens',
  );
  expect(() => table('all_reduce,collective,,4,,,1')).toThrow(/kind collective needs size_bytes/);
  expect(() => table('lm_head,dense,4,,,,1')).toThrow(
    'f.csv:2: lm_head of kind dense: it is looked up as per_sequence',
  );
});

test('unknown columns and mixed measurements are refused', () => {
  expect(() => read('a,b\n1,2\n')).toThrow(/^f\.csv:1: no known profiler writes these columns/);
  const files = [
    { at: 'a.csv', text: 'layer,tokens,time_us\nact_fn,1,2\n' },
    { at: 'b.csv', text: 'gpu,dtype,m,k,n,time(us)\nH100,bf16,1,2,3,4\n' },
  ];
  expect(() => importCsvFiles(files, names, options)).toThrow(/^b\.csv: measured as cuda_event/);
});
