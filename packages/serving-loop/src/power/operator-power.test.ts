/** The mean power of a step's operators, by hand. */
import type { Cluster, PowerFile } from '@astrolabe/config';
import { parseModel, powerSchema, resolveCluster } from '@astrolabe/config';
import { tinyModel } from '@astrolabe/config/tiny-model';
import type { LatencyModel, OperatorPower } from '@astrolabe/profile';
import type { Iteration } from '@astrolabe/trace-generator';
import { describe, expect, it } from 'vitest';
import { createStepPower } from './operator-power.js';

const constants: PowerFile = powerSchema.parse({
  npu: { X: { idle_power: 10, standby_power: 20, active_power: 100, standby_duration: 1 } },
});

function clusterOf(tp: number, power: PowerFile | undefined): Cluster {
  const instance = { model_name: 'tiny', hardware: 'X', npu_mem: { mem_size: 24, mem_bw: 1000 } };
  const node = {
    cpu_mem: { mem_size: 64, mem_bw: 100 },
    instances: [{ ...instance, tp_size: tp }],
  };
  return resolveCluster(
    { link_bw: 16, link_latency: 1000, nodes: [{ ...node, power }] },
    'cluster.json',
    { findModel: (name) => parseModel(name, tinyModel, 'test') },
  );
}

/** Every operator takes 1000 ns but down_proj, which takes 5000. */
function latency(power: Partial<OperatorPower> | undefined): LatencyModel {
  const unknown = (): undefined => undefined;
  return {
    hardware: 'X',
    model: 'tiny',
    dtype: 'bfloat16',
    source: 'test',
    tpDegrees: [1, 2],
    counters: { exact: 0, interpolated: 0, extrapolated: 0 },
    power: power && {
      denseW: unknown,
      perSequenceW: unknown,
      attentionW: unknown,
      moeW: unknown,
      ...power,
    },
    has: (operator) => !['qk_norm', 'moe', 'q_proj', 'k_proj', 'v_proj'].includes(operator),
    denseNs: (operator) => (operator === 'down_proj' ? 5000 : 1000),
    perSequenceNs: () => 1000,
    attentionNs: () => 1000,
    moeNs: () => 1000,
  };
}

const step: Iteration = {
  instance: 0,
  iteration: 0,
  releaseNs: 0,
  requests: [0],
  newTokens: [8],
  contextTokens: [0],
  warmUpNs: 123_456,
};

describe('createStepPower', () => {
  it('is nothing without powers, and without constants of the node', () => {
    const model = latency({ denseW: () => 50 });
    const plain = latency(undefined);
    const made = (power: PowerFile | undefined, latencyModelFor: () => LatencyModel) =>
      createStepPower({ cluster: clusterOf(1, power), latencyModelFor });
    expect(made(constants, () => plain)).toBeUndefined();
    expect(made(undefined, () => model)).toBeUndefined();
    expect(made(constants, () => model)?.measured).toEqual(['X']);
  });

  it('weighs powers by time; operators without one draw the active power', () => {
    const model = latency({
      denseW: (operator) => (operator === 'down_proj' ? 300 : 50),
      attentionW: () => 80,
    });
    const cluster = clusterOf(2, constants);
    const power = createStepPower({ cluster, latencyModelFor: () => model });
    const watts = power?.watts(step);
    const layers = tinyModel.num_hidden_layers;
    // A layer: two norms, qkv, rotary, o, gate-up, activation at 50 W, attention, down.
    const layer = { timeNs: 7000 + 1000 + 5000, energy: 7000 * 50 + 1000 * 80 + 5000 * 300 };
    // Embedding and last norm at 50 W; head and sampler have no power.
    const timeNs = layers * layer.timeNs + 4000;
    const energy = layers * layer.energy + 2000 * 50 + 2000 * 100;
    expect([...(watts ?? [])]).toEqual([
      [0, expect.closeTo(energy / timeNs, 9)],
      [1, expect.closeTo(energy / timeNs, 9)],
    ]);
  });
});
