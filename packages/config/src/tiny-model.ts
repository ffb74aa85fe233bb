/**
 * A model small enough to work out by hand, for tests of all packages: 2 layers, 4 heads of 16, KV of
 * a token 512 bytes in bf16. As in a config.json.
 */
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

/** The same with eight experts of which a token picks two. */
export const tinyExperts = {
  ...tinyModel,
  model_type: 'mixtral',
  num_local_experts: 8,
  num_experts_per_tok: 2,
};
