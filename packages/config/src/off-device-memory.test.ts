/** Weights off the device are of the model and fit where they are put: four equal layers, by hand. */
import { expect, test } from 'vitest';
import { parseModel, resolveCluster, weightBytesOnHost } from './index.js';
import { weightBytesAt } from './resident-weights.js';

const model = {
  model_type: 'llama',
  hidden_size: 1024,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  intermediate_size: 4096,
  vocab_size: 1000,
  max_position_embeddings: 512,
};
const experts = { ...model, model_type: 'mixtral', num_local_experts: 8, num_experts_per_tok: 2 };
const models: Record<string, object> = {
  moe: experts,
  tied: { ...model, tie_word_embeddings: true },
};
/** Of `down_proj`, all layers. */
const downBytes = 4 * 1024 * 4096 * 2;

function load(placement: object | undefined, hostGiB: number, cxlGiB?: number, more = {}) {
  return loadAll(placement, hostGiB, cxlGiB, [more])[0];
}

function loadAll(
  placement: object | undefined,
  hostGiB: number,
  cxlGiB: number | undefined,
  instances: readonly object[],
) {
  const npu = { mem_size: 24, mem_bw: 1 };
  const entry = { model_name: 'm', hardware: 'x', npu_mem: npu, tp_size: 2, placement };
  const entries = instances.map((more) => ({ ...entry, ...more }));
  const nodes = [{ cpu_mem: { mem_size: hostGiB, mem_bw: 1 }, instances: entries }];
  const cxl = { mem_size: cxlGiB, mem_bw: 1, mem_latency: 1, num_devices: 2 };
  const cxlPart = cxlGiB === undefined ? {} : { cxl_mem: cxl };
  return resolveCluster({ link_bw: 1, link_latency: 1, nodes, ...cxlPart }, 'c.json', {
    findModel: (name) => parseModel(name, models[name] ?? model, 'test'),
  }).instances;
}

const down = (weights: string) => ({ layers: { down_proj: { weights } } });

test('weights of all ranks, by where they are', () => {
  const one = load(down('cxl:1'), 1, 1);
  expect(weightBytesAt(one, { tier: 'cxl', device: 1 })).toBe(downBytes);
  expect(weightBytesAt(one, { tier: 'cxl', device: 0 })).toBe(0);
});

test('memory that is too small for them is refused, to the byte', () => {
  const gib = downBytes / 2 ** 30;
  expect(() => load(down('cpu'), gib)).not.toThrow();
  expect(() => load(down('cpu'), gib - 1e-6)).toThrow(
    /^c\.json: nodes\[0\]\.instances\[0\]\.placement: 0\.0 GiB of weights on cpu, which has 0\.0$/,
  );
  expect(() => load(down('cxl:0'), 1e-6, gib)).not.toThrow();
  expect(() => load(down('cxl:0'), 1, gib / 2)).toThrow(/of weights on cxl:0, which has/);
});

test('the embedding is there, too', () => {
  const one = load({ layers: { embedding: { weights: 'cpu' } } }, 1);
  expect(weightBytesAt(one, { tier: 'cpu', device: 0 })).toBe(1000 * 1024 * 2);
});

test('offloaded experts must fit: all but those that stay on the ranks', () => {
  const offload = (cached_experts: number, ep_size: number) => ({
    model_name: 'moe',
    ep_size,
    experts: { offload: { tier: 'cpu', cached_experts } },
  });
  const expert = 3 * 1024 * 4096 * 2;
  const host = { tier: 'cpu', device: 0 } as const;
  const bytes = (cached: number, ep: number): number =>
    weightBytesAt(load(undefined, 100, undefined, offload(cached, ep)), host);
  expect(bytes(0, 2)).toBe(4 * 8 * expert);
  // Of two shares each keeps three of its four; sliced over TP three of eight stay.
  expect(bytes(3, 2)).toBe(4 * 2 * expert);
  expect(bytes(3, 1)).toBe(4 * 5 * expert);
  const gib = (4 * 2 * expert) / 2 ** 30;
  expect(() => load(undefined, gib, undefined, offload(3, 2))).not.toThrow();
  expect(() => load(undefined, gib / 2, undefined, offload(3, 2))).toThrow(
    'instances[0].experts.offload: 0.2 GiB of weights on cpu, which has 0.1',
  );
});

test('ranks that share experts each have their own on the host, all else is there once', () => {
  const expert = 3 * 1024 * 4096 * 2;
  const rank = { model_name: 'moe', tp_size: 1, ep_size: 2, dp_group: 'g' };
  const ranks = (more: object) => ['a', 'b'].map((name) => ({ name, ...rank, ...more }));
  const offload = ranks({ experts: { offload: { cached_experts: 1 } } });
  // Each has four experts of every layer, and three of them there.
  const all = 4 * 2 * 3 * expert;
  expect(weightBytesOnHost(loadAll(undefined, 100, undefined, offload), 0)).toBe(all);
  expect(() => loadAll(undefined, all / 2 ** 30, undefined, offload)).not.toThrow();
  expect(() => loadAll(undefined, all / 2 ** 30 - 1e-6, undefined, offload)).toThrow(
    'instances[0].experts.offload: 0.6 GiB of weights on cpu',
  );
  const cpu = { weights: 'cpu' };
  const placed = loadAll({ layers: { moe: cpu, o_proj: cpu } }, 100, undefined, ranks({}));
  const gate = 1024 * 8 * 2;
  const output = 1024 * 1024 * 2;
  expect(weightBytesOnHost(placed, 0)).toBe(4 * (8 * expert + gate + output));
  // Replicas of a model that share nothing read the same weights.
  const apart = ranks({ dp_group: undefined, ep_size: 1 });
  const replicas = loadAll({ layers: { moe: cpu } }, 100, undefined, apart);
  expect(weightBytesOnHost(replicas, 0)).toBe(4 * (8 * expert + gate));
});

test('a tied matrix is there once', () => {
  const cpu = { weights: 'cpu' };
  const bytes = (layers: object): number => {
    const [one] = loadAll({ layers }, 100, undefined, [{ tp_size: 1, model_name: 'tied' }]);
    return weightBytesAt(one, { tier: 'cpu', device: 0 });
  };
  const matrix = 1000 * 1024 * 2;
  expect(bytes({ embedding: cpu })).toBe(matrix);
  expect(bytes({ lm_head: cpu })).toBe(matrix);
  expect(bytes({ embedding: cpu, lm_head: cpu })).toBe(matrix);
});

test('blocks that the model does not have are refused', () => {
  const blocks = (list: string) => ({ blocks: [{ blocks: list, weights: 'cpu' }] });
  expect(() => load(blocks('0-3'), 1)).not.toThrow();
  expect(() => load(blocks('2,3-4'), 1)).toThrow(
    /placement\.blocks: no block 4: the model has 0 to 3$/,
  );
});
