/** Layers that attend to a part of the context: the query-key pairs of a plain count, and their nodes. */
import { tinyModel } from '@astrolabe/config/tiny-model';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Batch } from './batch.js';
import { exampleCluster } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator } from './generate.js';
import { LocalBatch } from './local-attention.js';

function batchOf(newTokens: number[], contextTokens: number[]): Batch {
  const batch = new Batch();
  const requests = newTokens.map((_, i) => i);
  batch.read({ instance: 0, iteration: 0, releaseNs: 0, requests, newTokens, contextTokens });
  return batch;
}

/** Keys that a token sees, itself included. */
function keysOf(position: number, span: number, chunked: boolean): number {
  return chunked ? (position % span) + 1 : Math.min(position + 1, span);
}

describe('a batch of local attention', () => {
  it('has the pairs of a count token by token', () => {
    const requests = fc.array(fc.tuple(fc.integer({ min: 1, max: 90 }), fc.nat(90)), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(requests, fc.integer({ min: 2, max: 40 }), fc.boolean(), (all, span, chunked) => {
        const batch = batchOf(
          all.map(([added]) => added),
          all.map(([, context]) => context),
        );
        const local = new LocalBatch({ span, chunked, layers: [0] }).of(batch);
        let prefillPairs = 0;
        let decodeKeys = 0;
        let tokens = 0;
        for (const [added, context] of all) {
          let pairs = 0;
          for (let i = 0; i < added; i++) pairs += keysOf(context + i, span, chunked);
          if (added === 1 && context > 0) decodeKeys += pairs;
          else {
            prefillPairs += pairs;
            tokens += added;
          }
        }
        let written = 0;
        let pieces = 0;
        for (let i = 0; i < local.prefillCount; i++) {
          const q = local.prefillNewTokens[i];
          expect(local.prefillContextTokens[i]).toBeGreaterThanOrEqual(0);
          pieces += q;
          written += q * (local.prefillContextTokens[i] + q / 2);
        }
        expect(pieces).toBeCloseTo(tokens, 6);
        // Profiles count q (c + q / 2) pairs, half a key less per token than there are, at most.
        expect(Math.abs(prefillPairs - written)).toBeLessThanOrEqual(tokens / 2 + 1e-6);
        expect(local.decodeContextSum + local.decodeCount).toBe(decodeKeys);
      }),
    );
  });

  it('Llama 4: 20 tokens behind 5, in chunks of 8', () => {
    const local = new LocalBatch({ span: 8, chunked: true, layers: [0] }).of(batchOf([20], [5]));
    expect(Array.from(local.prefillNewTokens).slice(0, local.prefillCount)).toEqual([3, 8, 8, 1]);
    expect(Array.from(local.prefillContextTokens).slice(0, local.prefillCount)).toEqual([
      5, 0, 0, 0,
    ]);
  });

  it('a level batch stays level', () => {
    const batch = batchOf([1, 1], [3, 100]);
    const local = new LocalBatch({ span: 8, chunked: false, layers: [0] });
    expect([...(local.of(batch).decodeContexts as Float64Array)].slice(0, 2)).toEqual([3, 7]);
    batch.levelDecodes();
    expect(local.of(batch).decodeContexts).toBeUndefined();
    expect(local.of(batch).decodeContextSum).toBe(10);
  });
});

describe('layers', () => {
  const step = { instance: 0, iteration: 0, releaseNs: 0, requests: [0] };

  function attentionNs(model: object, contextTokens: number): number[] {
    const { generate } = createTraceGenerator({
      cluster: exampleCluster([{}], { ...tinyModel, num_hidden_layers: 4, ...model }),
      latencyModelFor: () => exampleLatency(fusedOperators),
    });
    const iteration = { ...step, newTokens: [1], contextTokens: [contextTokens] };
    const { graph } = generate(iteration).programs[0];
    const times = [...graph.durationNs];
    return times.filter((_, i) => graph.strings[graph.name[i]].endsWith('.attention'));
  }

  it('of a window take its time, the others that of the context', () => {
    const types = ['sliding_attention', 'full_attention'];
    const model = {
      model_type: 'gemma2',
      sliding_window: 128,
      layer_types: [...types, ...types],
    };
    expect(attentionNs(model, 1000)).toEqual([127, 1000, 127, 1000]);
    expect(attentionNs(model, 100)).toEqual([100, 100, 100, 100]);
  });

  it('of Llama 4 in three of four: the tokens of the chunk', () => {
    const model = {
      model_type: 'llama4_text',
      num_local_experts: 4,
      num_experts_per_tok: 1,
      attention_chunk_size: 256,
    };
    expect(attentionNs(model, 1000)).toEqual([232, 232, 232, 1000]);
  });

  it('are refused in memory that computes', () => {
    const windows = { ...tinyModel, model_type: 'gemma2', sliding_window: 128 };
    const cluster = exampleCluster([{}], windows);
    const [instance] = cluster.instances;
    const engine = { ...instance.engine, attentionOffload: true };
    const pim = { numChannels: 8, channelBandwidthGBps: 1, latencyNs: 0, readBandwidthGBps: 1 };
    const offloaded = {
      ...cluster,
      nodes: [{ ...cluster.nodes[0], pim: { ...pim, fixedNs: 0, idleW: 0, activeW: 0 } as never }],
      instances: [{ ...instance, engine }],
    };
    const latencyModelFor = () => exampleLatency(fusedOperators);
    expect(() => createTraceGenerator({ cluster: offloaded, latencyModelFor })).toThrow(
      'attends to 128 tokens at most in some layers',
    );
  });

  it('Gemma norms what attention and feed-forward block give, too', () => {
    const { generate } = createTraceGenerator({
      cluster: exampleCluster([{}], { ...tinyModel, model_type: 'gemma2' }),
      latencyModelFor: () => exampleLatency(fusedOperators),
    });
    const { graph } = generate({ ...step, newTokens: [8], contextTokens: [0] }).programs[0];
    const names = [...graph.name].map((name) => graph.strings[name]);
    expect(names.filter((name) => /^layer0\..*norm/.test(name))).toEqual([
      'layer0.input_layernorm',
      'layer0.post_attention_layernorm',
      'layer0.post_layernorm',
      'layer0.post_feedforward_layernorm',
    ]);
  });
});
