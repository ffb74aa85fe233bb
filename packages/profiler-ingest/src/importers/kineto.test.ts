/** Goal: kernels find their operators. Method: a few events by hand, in awkward order. */
import { rowsOf } from '@astrolabe/profile';
import { expect, test } from 'vitest';
import { readHostTrace } from './chakra-host.js';
import { KinetoCollector, type KinetoEvent } from './kineto.js';
import { parseAnnotation } from './kineto-calls.js';

const names = { hardware: 'GPU', model: 'm', dtype: 'bf16' };
const options = { tp: 1, shape: undefined, clockGHz: undefined };

function scope(name: string, ts: number, dur: number, args = {}): KinetoEvent {
  return { ph: 'X', cat: 'cpu_op', name, pid: 1, tid: 1, ts, dur, args };
}
function launch(correlation: number, ts: number, name = 'cudaLaunchKernel'): KinetoEvent {
  return { ph: 'X', cat: 'cuda_runtime', name, pid: 1, tid: 1, ts, dur: 1, args: { correlation } };
}
function kernel(correlation: number, name: string, dur: number): KinetoEvent {
  return { ph: 'X', cat: 'kernel', name, pid: 0, tid: 7, ts: 999, dur, args: { correlation } };
}

function collect(events: readonly KinetoEvent[], collector = new KinetoCollector()) {
  for (const event of events) collector.add(event, 't.json');
  const table = collector.finish(names, options, 't.json');
  return { rows: [...rowsOf(table)], info: table.info };
}

test('kernels of one call are summed, calls of one size give the median', () => {
  const dims = { 'Input Dims': [[8, 64], [96, 64], []] };
  const events = [
    // Kernels before their launches, a split-k pair, three calls of one operator.
    kernel(1, 'gemm_splitk', 10),
    kernel(2, 'reduce', 5),
    kernel(3, 'gemm', 20),
    kernel(4, 'gemm', 90),
    scope('aten::linear', 0, 10, dims),
    scope('aten::addmm', 1, 8, { 'Input Dims': [[96], [8, 64], [64, 96]] }),
    launch(1, 2),
    launch(2, 4),
    scope('aten::linear', 20, 10, dims),
    launch(3, 22),
    scope('aten::linear', 40, 10, dims),
    launch(4, 42),
  ];
  expect(collect(events).rows).toMatchObject([
    { operator: 'gemm_64_96', tokens: 8, durationNs: 20_000 },
  ]);
});

test('our annotations name operators and keys; a kernel in none is named by itself', () => {
  const events = [
    scope('astrolabe:attention:attention:tokens=16,sequences=4,decodeContextTokens=100', 0, 50),
    scope('aten::scaled_dot_product_attention', 1, 40),
    launch(1, 5),
    kernel(1, 'flash_fwd', 7.25),
    launch(2, 70),
    kernel(2, 'rms_norm_kernel', 2),
    kernel(3, 'Memcpy DtoH', 1),
  ];
  const { rows, info } = collect(events);
  expect(rows).toMatchObject([
    {
      kind: 'attention',
      tokens: 16,
      contextTokens: 0,
      sequences: 4,
      decodeContextTokens: 100,
      durationNs: 7250,
    },
    { operator: 'layernorm', tokens: 1, durationNs: 2000 },
    { operator: 'copy' },
  ]);
  expect(info.notes).toEqual(['1 kernels without a launch, named by themselves']);
});

test("a capture's own preparations are no operators", () => {
  const events = [
    scope('astrolabe:setup', 0, 100),
    scope('aten::linear', 1, 8, {
      'Input Dims': [
        [8, 64],
        [96, 64],
      ],
    }),
    launch(1, 2),
    kernel(1, 'gemm', 90),
    scope('astrolabe:dense:qkv_proj:tokens=8', 20, 10),
    launch(2, 22),
    kernel(2, 'gemm', 20),
  ];
  expect(collect(events).rows).toMatchObject([{ operator: 'qkv_proj', durationNs: 20_000 }]);
  expect(collect(events).rows).toHaveLength(1);
});

test("a CUDA graph's kernels go by name, at the engine's step size", () => {
  const events = [
    scope('execute_context_1(512)_generation_4(4)', 0, 50),
    launch(1, 5, 'cudaGraphLaunch'),
    kernel(1, 'nvjet_gemm', 10),
    kernel(1, 'flash_fwd', 20),
  ];
  expect(collect(events).rows).toMatchObject([
    { operator: 'gemm', tokens: 516, durationNs: 10_000 },
    { operator: 'attention', tokens: 516, durationNs: 20_000 },
  ]);
});

test('collectives with their sizes', () => {
  const args = {
    'Collective name': 'allreduce',
    'In msg nelems': 4096,
    'Group size': 2,
    dtype: 'BFloat16',
  };
  const event = { ...kernel(9, 'ncclDevKernel_AllReduce_Sum', 30), args };
  expect(collect([event]).rows).toContainEqual({
    kind: 'collective',
    operator: 'all_reduce',
    tp: 2,
    sequences: 2,
    sizeBytes: 8192,
    durationNs: 30_000,
  });
});

test('a host trace gives shapes that the trace lacks, in all its schemas', () => {
  const nodes = (node: object) => [{ id: 1, name: 'aten::mm', ...node }];
  const forms = [
    {
      schema: '1.0.1',
      nodes: nodes({
        rf_id: 5,
        input_shapes: [
          [4, 8],
          [8, 16],
        ],
      }),
    },
    {
      schema: '1.1.1-chakra.0.0.4',
      nodes: nodes({
        inputs: {
          shapes: [
            [4, 8],
            [8, 16],
          ],
        },
        attrs: [{ name: 'rf_id', type: 'uint64', value: 5 }],
      }),
    },
  ];
  for (const form of forms) {
    const host = readHostTrace(form, 'host.json');
    const events = [
      scope('aten::mm', 0, 10, { 'External id': 5 }),
      launch(1, 2),
      kernel(1, 'gemm', 3),
    ];
    expect(collect(events, new KinetoCollector(host)).rows).toMatchObject([
      { operator: 'gemm_8_16', tokens: 4, durationNs: 3000 },
    ]);
  }
  expect(() => readHostTrace({ schema: '2.0', nodes: [] }, 'h.json')).toThrow(/not known/);
});

test('CPU-only traces: annotated operators by their own time', () => {
  const { rows, info } = collect([scope('astrolabe:dense:o_proj:tokens=4', 0, 12.5)]);
  expect(rows).toMatchObject([{ operator: 'o_proj', tokens: 4, durationNs: 12_500 }]);
  expect(info.measurement).toBe('wall_clock');
});

test('damage is named', () => {
  expect(() => collect([])).toThrow(/^t\.json: no kernel, no operator and no annotation/);
  expect(() => collect([{ ph: 'X', cat: 'kernel', name: 'k' }])).toThrow(
    /^t\.json: event 1: event "k" has no ts and dur/,
  );
  expect(() => collect([{ ...kernel(1, 'k', 1e300) }])).toThrow(
    /^t\.json: event 1: .* no ts and dur/,
  );
  expect(() => collect([JSON.parse('null')])).toThrow('t.json: event 1: expected an object');
  const args = { 'Collective name': 'allreduce', 'In msg nelems': 8, 'Group size': -3 };
  expect(() => collect([{ ...kernel(1, 'nccl', 3), args }])).toThrow(
    't.json: event 1: Group size: expected an integer >= 0, got -3',
  );
  expect(parseAnnotation('astrolabe:setup', 1)).toBe(undefined);
  expect(() => parseAnnotation('astrolabe:den:qkv_proj:tokens=1', 1)).toThrow(
    'astrolabe:den:qkv_proj:tokens=1: unknown kind "den"',
  );
  for (const [name, says] of [
    ['astrolabe:dense:o_proj:tp=2', 'tokens: expected an integer >= 0, got none'],
    ['astrolabe:dense:o_proj:tokens=x', 'tokens: expected an integer >= 0, got x'],
    ['astrolabe:moe:moe:tokens=4', 'activatedExperts: expected an integer >= 0, got none'],
  ] as const) {
    expect(() => collect([scope(name, 0, 9)])).toThrow(`t.json: ${name}: ${says}`);
  }
});

test('traces of several ranks in one file are refused: ids of launches are those of a process', () => {
  const ofRank = (pid: number): KinetoEvent[] => [{ ...launch(7, 2), pid }, kernel(7, 'gemm', 5)];
  expect(() => collect([...ofRank(100), ...ofRank(200)])).toThrow(
    't.json: processes 100 and 200 both launched kernels as 7',
  );
  // Threads of one process share its ids; a launch is seen by the runtime and the driver.
  const events = [launch(7, 2), { ...launch(7, 3), tid: 2 }, kernel(7, 'gemm', 5)];
  expect(collect(events).rows).toMatchObject([{ operator: 'gemm', durationNs: 5000 }]);
});

test('categories of PyTorch before 1.13 are known', () => {
  const old = (event: KinetoEvent, cat: string): KinetoEvent => ({ ...event, cat });
  const events = [
    old(
      scope('aten::mm', 0, 10, {
        'Input Dims': [
          [4, 8],
          [8, 16],
        ],
      }),
      'Operator',
    ),
    old(launch(1, 2), 'Runtime'),
    old(kernel(1, 'gemm', 3), 'Kernel'),
  ];
  const { rows, info } = collect(events);
  expect(rows).toMatchObject([{ operator: 'gemm_8_16', tokens: 4, durationNs: 3000 }]);
  expect(info.measurement).toBe('kernel');
});

test('scaled products have their scales behind them, and in vLLM their result before them', () => {
  const of = (name: string, dims: number[][]) =>
    collect([scope(name, 0, 10, { 'Input Dims': dims }), launch(1, 2), kernel(1, 'gemm', 3)]).rows;
  const wanted = [{ operator: 'gemm_64_96', tokens: 8 }];
  expect(
    of('aten::_scaled_mm', [
      [8, 64],
      [64, 96],
      [8, 1],
      [1, 96],
    ]),
  ).toMatchObject(wanted);
  const vllm = [
    [8, 96],
    [8, 64],
    [64, 96],
    [8, 1],
    [96, 1],
  ];
  expect(of('_C::cutlass_scaled_mm', vllm)).toMatchObject(wanted);
});

test('collectives of FP8 count a byte an element', () => {
  const args = { 'Collective name': 'allreduce', 'In msg nelems': 8, 'Group size': 2 };
  const sizeOf = (dtype: string) =>
    collect([{ ...kernel(1, 'nccl', 3), args: { ...args, dtype } }]).rows.at(-1)?.sizeBytes;
  expect(['Float8_e4m3fn', 'BFloat16', 'Float'].map(sizeOf)).toEqual([8, 16, 32]);
});

test('notes say what no model looks up: kernels of graphs, products without sizes, attention', () => {
  const events = [
    launch(1, 5, 'cudaGraphLaunch'),
    kernel(1, 'gemm_a', 5),
    kernel(1, 'gemm_b', 7),
    kernel(1, 'flash_fwd', 9),
  ];
  const { info } = collect(events);
  expect(info.notes?.join('\n')).toMatch(
    /^3 kernels of CUDA graphs.*\n"gemm" is .*\nattention without its contexts/,
  );
  expect(collect([scope('astrolabe:dense:o_proj:tokens=4', 0, 9)]).info.notes?.join()).not.toMatch(
    /gemm|graphs|attention/,
  );
});
