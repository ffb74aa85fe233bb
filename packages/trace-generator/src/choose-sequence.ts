/**
 * Which operators an instance needs and whether its profile knows them. Checked when the generator is
 * made, so that no run stops half-way for lack of a measurement.
 */
import { UserError } from '@astrolabe/base';
import type { Instance } from '@astrolabe/config';
import type { LatencyModel } from '@astrolabe/profile';
import { type Operator, profileName, type Sequence, sequenceOf } from './sequences.js';

const sequenceParts = ['embedding', 'attention', 'dense', 'moe', 'head'] as const;

/**
 * The model's sequence under the names its profile uses, without optional operators that it lacks.
 * @param parts that the device runs; the others are left empty
 * @throws UserError naming the operator or TP degree that is missing
 */
export function chooseSequence(
  instance: Instance,
  latency: LatencyModel,
  parts: readonly (keyof Sequence)[] = sequenceParts,
): Sequence {
  const { tp, model } = instance;
  const at = `${instance.place} (${instance.hardware}, ${model.name})`;
  if (latency.tpDegrees.length > 0 && !latency.tpDegrees.includes(tp)) {
    throw new UserError(`the profile has no measurements at TP ${tp}`, {
      at,
      hint: `it has TP ${latency.tpDegrees.join(', ')}`,
    });
  }
  const naming = usesUnfusedNames(latency, tp) ? 'unfused' : 'fused';
  const sequence = sequenceOf(model, naming);
  const known = (operators: readonly Operator[]): Operator[] =>
    operators.filter((operator) => {
      const measuredAt = operator.key === 'expert' && instance.ep > 1 ? 1 : tp;
      if (latency.has(profileName(operator), measuredAt)) return true;
      if (operator.optional === true) return false;
      throw new UserError(`the profile has no operator "${profileName(operator)}" at TP ${tp}`, {
        at,
        hint: `the ${naming} operator sequence needs it`,
      });
    });
  const part = (name: keyof Sequence): readonly Operator[] =>
    parts.includes(name) ? known(sequence[name]) : [];
  return {
    embedding: part('embedding'),
    attention: part('attention'),
    dense: part('dense'),
    moe: part('moe'),
    head: part('head'),
  };
}

function usesUnfusedNames(latency: LatencyModel, tp: number): boolean {
  const knowsAny = (names: readonly string[]): boolean =>
    names.some((name) => latency.has(name, tp));
  return !knowsAny(['qkv_proj', 'gate_up_proj', 'moe']) && knowsAny(['q_proj', 'gate_proj']);
}
