/** A tiny model on a cluster of instances: for tests. */
import { type Cluster, parseModel, resolveCluster } from '@astrolabe/config';

export const tinyModel = {
  model_type: 'llama',
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  intermediate_size: 128,
  vocab_size: 100,
  max_position_embeddings: 4096,
};

/** Eight experts of which a token picks two. */
export const tinyExperts = {
  ...tinyModel,
  model_type: 'mixtral',
  num_local_experts: 8,
  num_experts_per_tok: 2,
};

/** One node with the instances given, as in a cluster file. */
export function exampleCluster(
  instances: readonly object[] = [{}],
  model: object = tinyModel,
): Cluster {
  const entries = instances.map((instance) => ({
    model_name: 'tiny',
    hardware: 'example',
    npu_mem: { mem_size: 24, mem_bw: 1000 },
    ...instance,
  }));
  const nodes = [{ cpu_mem: { mem_size: 64, mem_bw: 100 }, instances: entries }];
  const cxl = { mem_size: 64, mem_bw: 60, mem_latency: 250, num_devices: 2 };
  return resolveCluster({ link_bw: 16, link_latency: 1000, nodes, cxl_mem: cxl }, 'example', {
    findModel: (name) => parseModel(name, model, 'example'),
  });
}
