/** Parallelism worked out by hand, end to end through loop, generator and machine. Times ns. */
import { type Cluster, parseModel, resolveCluster } from '@astrolabe/config';
import { tinyExperts, tinyModel } from '@astrolabe/config/tiny-model';
import type { LatencyModel } from '@astrolabe/profile';
import { type RunResult, requestResults } from '@astrolabe/serving-loop';
import { transferLane } from '@astrolabe/trace-generator';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { formulas } from '../property/arbitrary-serving.js';
import { InProcess, runOn } from '../support/in-process.js';

const deep = { ...tinyModel, num_hidden_layers: 4 };
const shared = {
  ...tinyExperts,
  model_type: 'qwen2_moe',
  num_experts: 8,
  moe_intermediate_size: 32,
};
const shapes: Record<string, object> = {
  model: tinyModel,
  experts: tinyExperts,
  deep,
  shared: { ...shared, shared_expert_intermediate_size: 64 },
};

/** Every operator takes 1000 ns, whatever it computes. */
const constant: LatencyModel = {
  ...formulas,
  denseNs: () => 1000,
  perSequenceNs: () => 1000,
  attentionNs: () => 1000,
  moeNs: () => 1000,
};

function clusterOf(nodes: readonly object[][], links: object = {}): Cluster {
  const file = {
    link_bw: 1,
    link_latency: 1000,
    ...links,
    nodes: nodes.map((instances) => ({
      cpu_mem: { mem_size: 64, mem_bw: 100 },
      instances: instances.map((instance) => ({
        model_name: 'model',
        hardware: 'example',
        npu_mem: { mem_size: 24, mem_bw: 1000 },
        kv_blocks: 1000,
        async_scheduling: false,
        ...instance,
      })),
    })),
  };
  return resolveCluster(file, 'example', {
    findModel: (name) => parseModel(name, shapes[name], 'example'),
  });
}

async function serve(
  cluster: Cluster,
  requests: readonly Request[],
  latency = constant,
): Promise<{ run: RunResult; backend: InProcess }> {
  const backend = new InProcess(cluster, () => latency, { mostTurns: 10_000 });
  const run = await runOn(backend, { cluster, requests });
  for (const row of requestResults(run)) expect(row.status).toBe('finished');
  return { run, backend };
}

const request = (id: number, promptTokens: number, outputTokens: number): Request => ({
  id,
  arrivalNs: 0,
  promptTokens,
  outputTokens,
});

describe('a pipeline of two stages', () => {
  // A layer is 9 operators. Stage 0: embedding and a layer; stage 1: a layer, norm, head, sampler.
  const firstStageNs = 10_000;
  const secondStageNs = 12_000;
  // Hidden and residual of one token, 2 x 64 x 2 B, at 1.0737 B/ns behind 1000 ns.
  const handOverNs = 1238;
  const cluster = clusterOf([[{ pp_size: 2, max_num_batched_tokens: 2 }]]);

  it('one request: each stage waits while the other works', async () => {
    const { run, backend } = await serve(cluster, [request(0, 1, 5)]);
    const stepNs = firstStageNs + handOverNs + secondStageNs;
    expect([...run.tokenGaps.toArray()]).toEqual([stepNs, stepNs, stepNs, stepNs]);
    const [first, second] = backend.completions[1].npus;
    expect([first.computeNs, second.computeNs]).toEqual([firstStageNs, secondStageNs]);
    // The bubble of the first stage is all of the rest of the step.
    const nextStartNs = backend.completions[2].npus[0].startNs;
    expect(nextStartNs - first.startNs - first.computeNs).toBe(handOverNs + secondStageNs);
  });

  it('two requests: the slower stage never waits', async () => {
    // The first prompt fills two batches, so the second request starts in the other one's turn.
    const { run } = await serve(cluster, [request(0, 4, 20), request(1, 2, 20)]);
    const steady = [...run.tokenGaps.toArray()].slice(4, -4);
    expect(new Set(steady)).toEqual(new Set([2 * secondStageNs]));
  });
});

describe('weights on two CXL devices of 1 B/ns, 250 ns', () => {
  // Norms 128 B twice, qkv 24 576, o 8192, gate-up 32 768, down 16 384: six loads of a layer.
  const layerNs = 2 * 128 + 24_576 + 8192 + 32_768 + 16_384 + 6 * 250;
  // Nine operators of a layer, embedding, and norm, head, sampler. The last waits for the last load.
  const [computeNs, embeddingNs, headNs, lastNs] = [9000, 1000, 3000, 1000];
  const blocks = [
    { blocks: '0-1', weights: 'cxl:0' },
    { blocks: '2-3', weights: 'cxl:1' },
  ];

  async function stepNs(layersAhead: number): Promise<number> {
    const instance = {
      model_name: 'deep',
      placement: { blocks },
      weight_prefetch_layers: layersAhead,
    };
    const cxl_mem = { mem_size: 1, mem_bw: 1, mem_latency: 250, num_devices: 2 };
    const { run } = await serve(clusterOf([[instance]], { cxl_mem }), [request(0, 1, 3)]);
    expect(run.tokenGaps.toArray()[0]).toBe(run.tokenGaps.toArray()[1]);
    return run.tokenGaps.toArray()[0];
  }

  it('on demand: every load, then every operator', async () => {
    expect(await stepNs(0)).toBe(embeddingNs + 4 * (layerNs + computeNs) + headNs);
  });

  it('a layer ahead: one device at a time, both only where one hands over to the other', async () => {
    // Layers 0 and 1 one after another; layer 2 comes while layer 1 does, layer 3 while 2 computes.
    const half = 2 * layerNs + lastNs;
    expect(await stepNs(1)).toBe(half + layerNs + lastNs + headNs);
  });

  it('all at once: the busiest device, then what its last load held up', async () => {
    const half = 2 * layerNs + lastNs;
    const all = half + 2 * computeNs + headNs;
    expect(await stepNs(4)).toBe(all);
    expect(await stepNs(100)).toBe(all);
  });
});

describe('disaggregation over links that exist', () => {
  // 160 tokens x 2 x 4 heads x 16 x 2 B x 2 layers = 81920 B, 76294 ns at 1.0737 B/ns.
  const prompt = 160;
  const aloneNs = 76_294;
  const role = (pd_type: string): object => ({ pd_type });
  const pcie = { pcie: { bw: 1, latency: 0 } };

  async function transferTimes(instances: object[], count: number): Promise<number[]> {
    const cluster = clusterOf([instances], { topology: pcie, kv_transfer: { initiate: 'push' } });
    const requests = Array.from({ length: count }, (_, id) => request(id, prompt, 2));
    const { backend } = await serve(cluster, requests);
    return backend.completions
      .filter(({ lane }) => lane === transferLane)
      .map(({ finishNs }, i) => finishNs - backend.transfers[i].releaseNs);
  }

  it("one sender has the receiver's link for itself", async () => {
    const [time] = await transferTimes([role('prefill'), role('decode')], 1);
    expect(Math.abs(time - aloneNs)).toBeLessThan(10);
  });

  it('2 prefill : 1 decode: both at once take twice as long', async () => {
    const instances = [role('prefill'), role('prefill'), role('decode')];
    const times = await transferTimes(instances, 2);
    expect(Math.abs(Math.max(...times) - 2 * aloneNs)).toBeLessThan(10);
  });

  it('2 prefill : 2 decode: nobody waits for anybody', async () => {
    const instances = [role('prefill'), role('prefill'), role('decode'), role('decode')];
    const times = await transferTimes(instances, 2);
    for (const time of times) expect(Math.abs(time - aloneNs)).toBeLessThan(10);
  });

  it('a prefill of TP 2 sends each half over a link of its own', async () => {
    const [time] = await transferTimes([{ ...role('prefill'), tp_size: 2 }, role('decode')], 1);
    // Both halves meet at the one receiver: no gain.
    expect(Math.abs(time - aloneNs)).toBeLessThan(10);
    const wide = [
      { ...role('prefill'), tp_size: 2 },
      { ...role('decode'), tp_size: 2 },
    ];
    const [half] = await transferTimes(wide, 1);
    expect(Math.abs(half - aloneNs / 2)).toBeLessThan(10);
  });

  it('a layer-wise push ends soon after its step: all layers but the last overlap it', async () => {
    const finish = async (granularity: string): Promise<number> => {
      const cluster = clusterOf([[role('prefill'), role('decode')]], {
        topology: { pcie: { bw: 10, latency: 0 } },
        kv_transfer: { initiate: 'push', granularity },
      });
      const { backend } = await serve(cluster, [request(0, prompt, 2)]);
      const prefill = backend.completions.find(
        ({ lane, instance }) => lane === 0 && instance === 0,
      );
      const transfer = backend.completions.find(({ lane }) => lane === transferLane);
      return (transfer?.finishNs ?? 0) - (prefill?.finishNs ?? 0);
    };
    // Whole: 7629 ns behind the step. By layers: the last layer's KV leaves before its step ends.
    expect(await finish('whole')).toBeGreaterThan(7600);
    expect(await finish('layer')).toBeLessThanOrEqual(0);
  });
});

describe('a hot expert rank', () => {
  // Layers of a token: 16 tokens x 2 experts of 8, four experts on each of two ranks.
  const step = async (loads: number[]) => {
    const options = { routing: 'file', loads: [loads] };
    const instance = { model_name: 'experts', tp_size: 2, ep_size: 2, experts: options };
    const { backend } = await serve(clusterOf([[instance]]), [request(0, 16, 1)], formulas);
    const [{ npus, startNs, finishNs }] = backend.completions;
    return { npus, stepNs: finishNs - startNs };
  };

  it('the other rank waits for it, for exactly the difference of their work', async () => {
    const { npus, stepNs } = await step([1, 1, 1, 1, 0, 0, 0, 0]);
    const [hot, cold] = npus;
    // All 32 pairs on rank 0: the work of 16 tokens on 4 experts, 7 x 16 + 1000 x 4, in 2 layers.
    const stragglerNs = 2 * 4112;
    expect(hot.computeNs - cold.computeNs).toBe(stragglerNs);
    // The last message is under way a little longer to the rank that came first.
    const tailNs = cold.finishNs - hot.finishNs;
    expect(cold.exposedCommNs - hot.exposedCommNs).toBe(stragglerNs + tailNs);
    const even = await step([1, 1, 1, 1, 1, 1, 1, 1]);
    expect(even.npus[0].computeNs).toBe(even.npus[1].computeNs);
    expect(stepNs).toBeGreaterThan(even.stepNs);
  });
});

describe('shared experts on a stream of their own', () => {
  const perLayerNs = 3000;
  const latency = { ...constant, has: () => true };

  /** Of the first step, on links that take so long for a message. */
  async function stepNs(link_latency: number, sharedExpertStream: boolean): Promise<number> {
    const rank = { model_name: 'shared', dp_group: 'g', ep_size: 2 };
    const cluster = clusterOf([[rank, rank]], { link_latency });
    const backend = new InProcess(cluster, () => latency, { terms: { sharedExpertStream } });
    await runOn(backend, { cluster, requests: [request(0, 16, 1), request(1, 16, 1)] });
    const [{ startNs, finishNs }] = backend.completions;
    return finishNs - startNs;
  }

  it('take no time beside a dispatch that is longer than they are', async () => {
    const gain = (await stepNs(20_000, false)) - (await stepNs(20_000, true));
    expect(gain).toBe(2 * perLayerNs);
  });

  it('gain no more than the dispatch takes', async () => {
    const gain = (await stepNs(0, false)) - (await stepNs(0, true));
    // 16 tokens of hidden state and logits from the other rank, 16 x 72 x 2 B, at 1.0737 B/ns, and
    // 10 ns at each end.
    expect(gain).toBe(2 * (2145 + 20));
  });
});

describe('shapes that hang or are mis-sized elsewhere', () => {
  const requests = [request(0, 40, 4), request(1, 30, 6), request(2, 20, 3), request(3, 10, 1)];
  const wave = (group: string, degrees: object): object => ({
    model_name: 'experts',
    dp_group: group,
    ...degrees,
  });

  it.each<[string, object[][]]>([
    ['TP 2 beside TP 1', [[{ tp_size: 2 }, { tp_size: 1 }]]],
    ['TP 4 beside TP 2', [[{ tp_size: 4 }, { tp_size: 2 }]]],
    ['TP 2 x PP 2 beside TP 1', [[{ tp_size: 2, pp_size: 2 }, {}]]],
    [
      'prefill TP 2, decode TP 4',
      [
        [
          { pd_type: 'prefill', tp_size: 2 },
          { pd_type: 'decode', tp_size: 4 },
        ],
      ],
    ],
    [
      'prefill TP 4, decode TP 2 of two stages',
      [
        [
          { pd_type: 'prefill', tp_size: 4 },
          { pd_type: 'decode', tp_size: 2, pp_size: 2 },
        ],
      ],
    ],
    [
      'two data-parallel groups',
      [['A', 'A', 'B', 'B'].map((group) => wave(group, { ep_size: 2 }))],
    ],
    [
      'a data-parallel group beside an instance of its own',
      [[wave('A', { ep_size: 4, tp_size: 2 }), wave('A', { ep_size: 4, tp_size: 2 }), {}]],
    ],
    [
      'a data-parallel group of two nodes, with stages',
      [[wave('A', { ep_size: 2, pp_size: 2 })], [wave('A', { ep_size: 2, pp_size: 2 })]],
    ],
    [
      'disaggregated data-parallel groups',
      [
        [
          ...[0, 1].map(() => ({ pd_type: 'prefill', ...wave('P', { ep_size: 2 }) })),
          ...[0, 1].map(() => ({ pd_type: 'decode', ...wave('D', { ep_size: 2 }) })),
        ],
      ],
    ],
  ])('%s', async (_, nodes) => {
    const { run, backend } = await serve(clusterOf(nodes), requests, formulas);
    expect(backend.machine.stuck().stuck).toBe(false);
    const served = new Set(run.states.map(({ instance }) => instance));
    expect(served.size).toBeGreaterThan(nodes.flat().some((i) => 'pd_type' in i) ? 0 : 1);
  });
});
