/**
 * Layers that attend to a part of the context while others attend to all of it: sliding windows of
 * every other layer (Gemma 2, gpt-oss), of five in six (Gemma 3), of the last ones (Qwen2), and chunks
 * in three of four (Llama 4: a token attends to its own chunk of `attention_chunk_size` tokens, as in
 * vLLM's ChunkedLocalAttention). Where the file has `layer_types` it decides.
 */
import { UserError } from '@astrolabe/base';
import { z } from 'zod';

const positive = z.number().int().positive();
const count = z.number().int().nonnegative();

export const localAttentionFields = {
  sliding_window: positive.nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: count.nullish(),
  sliding_window_pattern: positive.nullish(),
  attention_chunk_size: positive.nullish(),
  no_rope_layers: z.array(count).nullish(),
  no_rope_layer_interval: positive.nullish(),
  layer_types: z.array(z.string()).nullish(),
};

export interface LocalAttention {
  /** Tokens of the window, the token itself included, or of a chunk. */
  readonly span: number;
  /** Chunks start at multiples of the span; else the window slides. */
  readonly chunked: boolean;
  /** Ascending; all other layers attend to everything. */
  readonly layers: readonly number[];
}

type Fields = z.infer<z.ZodObject<typeof localAttentionFields>>;

interface LocalConfig extends Fields {
  readonly model_type: string;
  readonly num_hidden_layers: number;
  readonly max_position_embeddings: number;
}

/** At most one of them. */
interface AttentionSpans {
  /** Of every layer. */
  readonly slidingWindow: number | undefined;
  readonly localAttention?: LocalAttention;
}

/** @throws UserError kinds of layers that are not modelled, or a window of no size */
export function attentionSpans(hf: LocalConfig, at: string): AttentionSpans {
  const chunked = hf.model_type.startsWith('llama4');
  const window = hf.use_sliding_window === false ? undefined : hf.sliding_window;
  const span = (chunked ? hf.attention_chunk_size : window) ?? undefined;
  const isLocal = localLayers(hf, at);
  const layers = Array.from({ length: hf.num_hidden_layers }, (_, i) => i).filter(isLocal);
  if (span === undefined) {
    if (hf.layer_types?.some((type) => type !== 'full_attention')) {
      throw new UserError('layer_types has local layers, but no sliding_window', { at });
    }
    return { slidingWindow: undefined };
  }
  if (layers.length === 0) return { slidingWindow: undefined };
  if (layers.length === hf.num_hidden_layers && !chunked) return { slidingWindow: span };
  // No sequence reaches beyond.
  if (span >= hf.max_position_embeddings) return { slidingWindow: undefined };
  return { slidingWindow: undefined, localAttention: { span, chunked, layers } };
}

/** Layers before those with a window, where a file of Qwen's kind does not say. */
const qwenWindowLayers = 28;

function localLayers(hf: LocalConfig, at: string): (layer: number) => boolean {
  const types = hf.layer_types;
  if (types !== null && types !== undefined) {
    if (types.length !== hf.num_hidden_layers) {
      throw new UserError(
        `layer_types has ${types.length} entries, but there are ${hf.num_hidden_layers} layers`,
        { at },
      );
    }
    const known = ['full_attention', 'sliding_attention', 'chunked_attention'];
    const unknown = types.find((type) => !known.includes(type));
    if (unknown !== undefined) {
      throw new UserError(`layer_types has "${unknown}": such layers are not modelled`, {
        at,
        hint: `modelled: ${known.join(', ')}`,
      });
    }
    return (layer) => types[layer] !== 'full_attention';
  }
  switch (hf.model_type) {
    case 'gemma2':
    case 'gpt_oss':
      return (layer) => layer % 2 === 0;
    case 'gemma3_text':
      return (layer) => (layer + 1) % (hf.sliding_window_pattern ?? 6) !== 0;
    case 'qwen2':
    case 'qwen2_moe':
    case 'qwen2_5_vl':
    case 'qwen2_5_vl_text':
    case 'qwen3':
      return (layer) => layer >= (hf.max_window_layers ?? qwenWindowLayers);
    case 'llama4':
    case 'llama4_text':
      return rotatedLayer(hf);
    default:
      return () => true;
  }
}

/** Llama 4 chunks the layers that have rotary embeddings: `no_rope_layers` is 1 where there are some. */
function rotatedLayer(hf: LocalConfig): (layer: number) => boolean {
  const given = hf.no_rope_layers ?? [];
  if (given.length > 0) return (layer) => given[layer] !== 0;
  const interval = hf.no_rope_layer_interval ?? 4;
  return (layer) => (layer + 1) % interval !== 0;
}

/** Cached tokens that the next token attends to, where a layer attends to a part of the context. */
export function localContext({ span, chunked }: LocalAttention, context: number): number {
  return chunked ? context % span : Math.min(context, span - 1);
}
