/**
 * Experts in a Hugging Face config.json. The families name the same things differently; this is the
 * one place that knows: Mixtral and Phi-MoE (`num_local_experts`), Qwen (`num_experts`), DeepSeek
 * (`n_routed_experts`), Llama 4 (`num_local_experts`, dense layers with `intermediate_size_mlp`).
 */
import { UserError } from '@astrolabe/base';
import { z } from 'zod';

const positive = z.number().int().positive();
const count = z.number().int().nonnegative();

export const expertFields = {
  n_routed_experts: positive.nullish(),
  n_shared_experts: count.nullish(),
  shared_expert_intermediate_size: count.nullish(),
  first_k_dense_replace: count.nullish(),
  moe_layer_freq: positive.nullish(),
  mlp_only_layers: z.array(count).nullish(),
  decoder_sparse_step: positive.nullish(),
  interleave_moe_layer_step: positive.nullish(),
  intermediate_size_mlp: positive.nullish(),
  use_qk_norm: z.boolean().nullish(),
};

/** Experts of a mixture-of-experts model. */
export interface MoeShape {
  readonly numExperts: number;
  readonly expertsPerToken: number;
  readonly intermediateSize: number;
  /** Of the experts that every token passes, together; absent: none. */
  readonly sharedIntermediateSize?: number;
  /** Layers with a dense block instead, ascending; absent: none. */
  readonly denseLayers?: readonly number[];
}

/** What parsing needs of the config. */
interface ExpertConfig {
  readonly model_type: string;
  readonly num_hidden_layers: number;
  readonly intermediate_size?: number | null | undefined;
  readonly num_local_experts?: number | null | undefined;
  readonly num_experts?: number | null | undefined;
  readonly num_experts_per_tok?: number | null | undefined;
  readonly moe_intermediate_size?: number | null | undefined;
  readonly n_routed_experts?: number | null | undefined;
  readonly n_shared_experts?: number | null | undefined;
  readonly shared_expert_intermediate_size?: number | null | undefined;
  readonly first_k_dense_replace?: number | null | undefined;
  readonly moe_layer_freq?: number | null | undefined;
  readonly mlp_only_layers?: readonly number[] | null | undefined;
  readonly decoder_sparse_step?: number | null | undefined;
  readonly interleave_moe_layer_step?: number | null | undefined;
}

/** @throws UserError a config without a number of experts */
export function parseExperts(hf: ExpertConfig, intermediateSize: number, at: string): MoeShape {
  const numExperts = hf.num_local_experts ?? hf.num_experts ?? hf.n_routed_experts;
  if (numExperts === null || numExperts === undefined) {
    throw new UserError('num_experts (or num_local_experts, n_routed_experts) is missing', { at });
  }
  const expertSize = hf.moe_intermediate_size ?? hf.intermediate_size ?? intermediateSize;
  const shared = sharedSize(hf, expertSize);
  const denseLayers = denseLayersOf(hf);
  return {
    numExperts,
    expertsPerToken: hf.num_experts_per_tok ?? 1,
    intermediateSize: expertSize,
    ...(shared === 0 ? {} : { sharedIntermediateSize: shared }),
    ...(denseLayers.length === 0 ? {} : { denseLayers }),
  };
}

/** Llama 4 has one shared expert of an expert's size in every MoE layer. */
function sharedSize(hf: ExpertConfig, expertSize: number): number {
  if (hf.model_type.startsWith('llama4')) return expertSize;
  return hf.shared_expert_intermediate_size ?? (hf.n_shared_experts ?? 0) * expertSize;
}

function denseLayersOf(hf: ExpertConfig): number[] {
  const first = hf.first_k_dense_replace ?? 0;
  const frequency = hf.moe_layer_freq ?? 1;
  const step = hf.decoder_sparse_step ?? hf.interleave_moe_layer_step ?? 1;
  const only = hf.mlp_only_layers ?? [];
  const layers = Array.from({ length: hf.num_hidden_layers }, (_, layer) => layer);
  return layers.filter(
    (layer) =>
      layer < first || layer % frequency !== 0 || (layer + 1) % step !== 0 || only.includes(layer),
  );
}

/** Whether a decoder block of the model routes tokens to experts. */
export function isMoeLayer(model: { readonly moe: MoeShape | undefined }, layer: number): boolean {
  return model.moe !== undefined && !(model.moe.denseLayers ?? []).includes(layer);
}
