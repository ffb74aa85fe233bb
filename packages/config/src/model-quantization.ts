/**
 * Quantised weights (`quantization_config` of a config.json): how many bits an element takes, scales and
 * zeros included, which matrices are quantised, and whether they are multiplied in that type. Formats as
 * vLLM loads them; embedding, head, norms, biases and the gate of experts always keep the model's type.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';
import { type Dtype, dtypeBytes } from './engine.js';

/** Matrices that are quantised together or not at all. */
export type WeightPart = 'attention' | 'dense' | 'shared' | 'experts';

export interface Quantization {
  readonly method: string;
  /** Bits of an element with its share of scales and zeros. */
  readonly weightBits: number;
  /** Activations are quantised, too: products run at this type's peak, where the device has one. */
  readonly compute?: 'fp8' | 'int8';
  readonly parts: readonly WeightPart[];
}

const groupsSchema = z.looseObject({
  weights: z.looseObject({
    num_bits: z.number().int().positive(),
    type: z.string().nullish(),
    strategy: z.string().nullish(),
    group_size: z.number().int().nullish(),
    symmetric: z.boolean().nullish(),
  }),
  input_activations: z
    .looseObject({ num_bits: z.number().int().positive(), type: z.string().nullish() })
    .nullish(),
});

const quantizationSchema = z.looseObject({
  quant_method: z.string(),
  bits: z.number().int().positive().nullish(),
  w_bit: z.number().int().positive().nullish(),
  group_size: z.number().int().nullish(),
  q_group_size: z.number().int().nullish(),
  weight_block_size: z.array(z.number().int().positive()).nullish(),
  config_groups: z.record(z.string(), groupsSchema).nullish(),
  modules_to_not_convert: z.array(z.string()).nullish(),
  ignored_layers: z.array(z.string()).nullish(),
  ignore: z.array(z.string()).nullish(),
});

type QuantizationConfig = z.infer<typeof quantizationSchema>;
type Format = Pick<Quantization, 'weightBits' | 'compute'>;

const methods = ['fp8', 'fbgemm_fp8', 'awq', 'gptq', 'compressed-tensors', 'mxfp4'];

/** @throws UserError a method that is not modelled */
export function parseQuantization(
  value: unknown,
  numLayers: number,
  at: string,
): Quantization | undefined {
  if (value === null || value === undefined) return undefined;
  const place = `${at}: quantization_config`;
  const config = parseWith(quantizationSchema, value, place);
  const parts = quantisedParts(config, numLayers, place);
  if (parts.length === 0) return undefined;
  return { method: config.quant_method, ...formatOf(config, place), parts };
}

function formatOf(config: QuantizationConfig, place: string): Format {
  switch (config.quant_method) {
    case 'fp8':
    case 'fbgemm_fp8':
      return { weightBits: 8 + blockScaleBits(config), compute: 'fp8' };
    case 'awq':
    case 'gptq': {
      const bits = config.bits ?? config.w_bit;
      if (bits === null || bits === undefined)
        throw new UserError('bits is missing', { at: place });
      return { weightBits: bits + groupBits(config.group_size ?? config.q_group_size, bits) };
    }
    case 'compressed-tensors':
      return compressedFormat(config, place);
    case 'mxfp4':
      // OCP MX: a scale of 8 bits for 32 elements.
      return { weightBits: 4 + 8 / 32 };
    default:
      throw new UserError(`quant_method "${config.quant_method}" is not modelled`, {
        at: place,
        hint: `modelled: ${methods.join(', ')}; or remove quantization_config for unquantised weights`,
      });
  }
}

/** A scale of 16 bits and a zero of as many bits as an element, per group; -1: per channel. */
function groupBits(groupSize: number | null | undefined, zeroBits: number): number {
  return groupSize === null || groupSize === undefined || groupSize <= 0
    ? 0
    : (16 + zeroBits) / groupSize;
}

/** A scale of 32 bits per block of weights. */
function blockScaleBits({ weight_block_size: block }: QuantizationConfig): number {
  return block === null || block === undefined ? 0 : 32 / block.reduce((a, b) => a * b, 1);
}

function compressedFormat({ config_groups: groups }: QuantizationConfig, place: string): Format {
  const all = Object.values(groups ?? {});
  const [first] = all;
  if (first === undefined) throw new UserError('config_groups is missing', { at: place });
  const { weights, input_activations: inputs } = first;
  if (all.some((group) => group.weights.num_bits !== weights.num_bits)) {
    throw new UserError('config_groups of unlike bits are not modelled', { at: place });
  }
  const zeroBits = weights.symmetric === false ? weights.num_bits : 0;
  const weightBits = weights.num_bits + groupBits(weights.group_size, zeroBits);
  if (inputs === null || inputs === undefined) return { weightBits };
  if (inputs.num_bits !== 8) {
    throw new UserError(`activations of ${inputs.num_bits} bits are not modelled`, { at: place });
  }
  return { weightBits, compute: inputs.type === 'int' ? 'int8' : 'fp8' };
}

/** A matrix of each part, as checkpoints name it. */
const examples: Readonly<Record<WeightPart, readonly string[]>> = {
  attention: ['self_attn.q_proj', 'self_attn.o_proj'],
  dense: ['mlp.gate_proj', 'mlp.down_proj'],
  shared: ['mlp.shared_experts.gate_proj', 'mlp.shared_expert.gate_proj'],
  experts: ['mlp.experts.0.gate_proj', 'mlp.experts'],
};

/** Parts of which no matrix of a middle layer is on the list of exceptions. */
function quantisedParts(
  config: QuantizationConfig,
  numLayers: number,
  place: string,
): WeightPart[] {
  const { modules_to_not_convert: kept, ignored_layers: ignored, ignore } = config;
  const texts = [...(kept ?? []), ...(ignored ?? []), ...(ignore ?? [])];
  const patterns = texts.map((text) => patternOf(text, place));
  const prefix = `model.layers.${Math.floor(numLayers / 2)}.`;
  const keeps = (name: string): boolean =>
    patterns.some((pattern) => pattern.test(`${prefix}${name}`));
  const all = Object.keys(examples) as WeightPart[];
  // MXFP4 is a format of experts alone.
  const possible = config.quant_method === 'mxfp4' ? (['experts'] as const) : all;
  return possible.filter((part) => !examples[part].some(keeps));
}

/**
 * `re:` starts a regular expression, which begins where the name does; else the name of a module or of
 * one around it, `*` for any.
 */
function patternOf(text: string, place: string): RegExp {
  if (text.startsWith('re:')) {
    try {
      return new RegExp(`^(?:${text.slice(3)})`);
    } catch {
      throw new UserError(`"${text}" is no regular expression`, { at: place });
    }
  }
  const escaped = text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`(^|\\.)${escaped}(\\.|$)`);
}

const partsOf: readonly (readonly [RegExp, WeightPart])[] = [
  [/^(qkv_proj|q_proj|k_proj|v_proj|o_proj|qkv_a_proj|q_b_proj|kv_b_proj)$/, 'attention'],
  [/^(gate_up_proj|gate_proj|up_proj|down_proj)$/, 'dense'],
  [/^shared_(gate_up|down)_proj$/, 'shared'],
  [/^expert\./, 'experts'],
];

/** The part whose matrix an operator multiplies with; undefined: none that is quantised. */
export function weightPartOf(operator: string): WeightPart | undefined {
  return partsOf.find(([pattern]) => pattern.test(operator))?.[1];
}

/** Bytes of one element of a part's matrices. */
export function elementBytes(
  { quantization }: { readonly quantization?: Quantization | undefined },
  part: WeightPart | undefined,
  dtype: Dtype,
): number {
  const quantised = part !== undefined && quantization?.parts.includes(part) === true;
  return quantised ? quantization.weightBits / 8 : dtypeBytes[dtype];
}
