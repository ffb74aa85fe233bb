/** Cluster files: both generations, degrees, and the errors a typo deserves. */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bytesPerGiB } from '@astrolabe/base';
import { describe, expect, it } from 'vitest';
import { loadCluster } from './cli/index.js';
import { parseModel } from './model.js';
import { kvHeadsPerRank, pipelineLayers, weightBytes } from './model-size.js';
import { resolveCluster } from './resolve-cluster.js';
import type { Cluster } from './resolved-cluster.js';

const llama8b = parseModel(
  'llama-8b',
  {
    model_type: 'llama',
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 128256,
    max_position_embeddings: 131072,
  },
  'test',
);

function cluster(instance: Record<string, unknown>): Cluster {
  const file = {
    link_bw: 16,
    link_latency: 0,
    nodes: [
      {
        cpu_mem: { mem_size: 1, mem_bw: 1 },
        instances: [
          { model_name: 'x', hardware: 'H', npu_mem: { mem_size: 2, mem_bw: 3 }, ...instance },
        ],
      },
    ],
  };
  return resolveCluster(file, 'c.json', { findModel: () => llama8b });
}

describe('resolveCluster', () => {
  it('reads parallel degrees of both generations', () => {
    const degrees = (instance: Record<string, unknown>): string => {
      const { tp, pp } = cluster(instance).instances[0];
      return `${tp}x${pp}`;
    };
    expect(degrees({})).toBe('1x1');
    expect(degrees({ num_npus: 4 })).toBe('4x1');
    expect(degrees({ num_npus: 4, tp_size: 2 })).toBe('2x2');
    expect(degrees({ tp_size: 2, pp_size: 4 })).toBe('2x4');
    expect(degrees({ npu_num: 4, npu_group: 1 })).toBe('4x1');
    expect(degrees({ npu_num: 4, npu_group: 2 })).toBe('2x2');
  });

  it('capacities are GiB', () => {
    expect(cluster({}).instances[0].memory.sizeBytes).toBe(2 * bytesPerGiB);
  });

  it('says what is wrong and where', () => {
    const named = {
      model_name: 'x',
      hardware: 'H',
      npu_mem: { mem_size: 2, mem_bw: 3 },
      name: 'a',
    };
    const nodes = [{ cpu_mem: { mem_size: 1, mem_bw: 1 }, instances: [named, named] }];
    const twice = { link_bw: 16, link_latency: 0, nodes };
    expect(() => resolveCluster(twice, 'c.json', { findModel: () => llama8b })).toThrow(
      'c.json: nodes[0].instances[1].name: a is what instance 0 is called',
    );
    expect(() => cluster({ num_npus: 3, tp_size: 2 })).toThrow(
      'c.json: nodes[0].instances[0].num_npus: num_npus is 3, no multiple of tp_size 2',
    );
    expect(() => cluster({ tp_size: 3 })).toThrow(/tp 3 does not divide the model's 32 heads/);
    expect(() => cluster({ pp_size: 64 })).toThrow(/64 stages, but the model has 32 layers/);
    expect(() => cluster({ tp_sise: 1 })).toThrow(/unknown key "tp_sise"/);
  });
});

describe('model sizes', () => {
  it('Llama-3.1-8B weights as LLMServingSim counts them', () => {
    expect(weightBytes(llama8b, { tp: 1, pp: 1, ep: 1 }, 0, 'bfloat16')).toBe(16060522496);
    expect(weightBytes(llama8b, { tp: 2, pp: 1, ep: 1 }, 0, 'bfloat16')).toBe(8030527488);
  });

  it('stages share layers as vLLM does, the remainder from the last but one backwards', () => {
    expect(pipelineLayers(7, 3)).toEqual([2, 3, 2]);
    expect(pipelineLayers(32, 4)).toEqual([8, 8, 8, 8]);
    expect(pipelineLayers(10, 4)).toEqual([2, 3, 3, 2]);
  });

  it('KV heads are replicated beyond their number', () => {
    expect([1, 4, 8, 16].map((tp) => kvHeadsPerRank(llama8b, tp))).toEqual([8, 2, 1, 1]);
  });
});

const refdata = fileURLToPath(new URL('../../../../shared/refdata/llmservingsim', import.meta.url));

/** A suite that is skipped is still collected: without the folder it has one test to skip. */
function clusterFiles(): readonly string[] {
  if (!existsSync(refdata)) return ['none'];
  return ['v0', 'v1'].flatMap((generation) =>
    readdirSync(`${refdata}/${generation}/cluster_configs`).map(
      (name) => `${refdata}/${generation}/cluster_configs/${name}`,
    ),
  );
}

describe.skipIf(!existsSync(refdata))('LLMServingSim cluster files (needs ../shared)', () => {
  it.each(clusterFiles())('%s', (path) => {
    expect(loadCluster(path).instances.length).toBeGreaterThan(0);
  });
});
