/** Token counts drawn at random: fixed, uniform, lognormal, or by quantiles of a measured workload. */
import { type Random, UserError } from '@astrolabe/base';

export type Length =
  | { readonly kind: 'fixed'; readonly tokens: number }
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | {
      readonly kind: 'lognormal';
      readonly median: number;
      readonly sigma: number;
      readonly low: number;
      readonly high: number;
    }
  | { readonly kind: 'quantiles'; readonly values: readonly number[] };

/** Fractions that belong to the values of a `quantiles` length. */
export const quantileFractions = [0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1] as const;

/** @returns tokens, an integer >= 1 */
export function sampleLength(length: Length, random: Random): number {
  switch (length.kind) {
    case 'fixed':
      return length.tokens;
    case 'uniform':
      return length.low + random.below(length.high - length.low + 1);
    case 'lognormal': {
      const value = Math.round(length.median * Math.exp(length.sigma * random.normal()));
      return Math.min(Math.max(value, length.low), length.high);
    }
    case 'quantiles':
      return atFraction(length.values, random.uniform());
  }
}

/** Inverse distribution function, straight in the logarithm between the given quantiles. */
function atFraction(values: readonly number[], fraction: number): number {
  let upper = 1;
  while (quantileFractions[upper] < fraction) upper++;
  const low = quantileFractions[upper - 1];
  const part = (fraction - low) / (quantileFractions[upper] - low);
  const from = Math.log(values[upper - 1]);
  const to = Math.log(values[upper]);
  return Math.max(1, Math.round(Math.exp(from + (to - from) * part)));
}

/**
 * `128`, `100-200` (uniform) or `lognormal:MEDIAN,SIGMA[,LOW,HIGH]`.
 * @throws UserError
 */
export function parseLength(text: string): Length {
  const fixed = /^\d+$/.exec(text);
  if (fixed !== null) return { kind: 'fixed', tokens: atLeastOne(Number(text), text) };
  const range = /^(\d+)-(\d+)$/.exec(text);
  if (range !== null) {
    const low = atLeastOne(Number(range[1]), text);
    const high = Number(range[2]);
    if (high >= low) return { kind: 'uniform', low, high };
  }
  if (text.startsWith('lognormal:')) {
    const [median, sigma, low = 1, high = 131072] = text.slice(10).split(',').map(Number);
    if (median > 0 && sigma >= 0 && low >= 1 && high >= low) {
      return { kind: 'lognormal', median, sigma, low: Math.ceil(low), high: Math.floor(high) };
    }
  }
  throw new UserError(`not a length: "${text}"`, {
    hint: 'a count (128), a range (100-200) or lognormal:MEDIAN,SIGMA[,LOW,HIGH]',
  });
}

function atLeastOne(value: number, text: string): number {
  if (value >= 1 && value < 2 ** 30) return value;
  throw new UserError(`not a length: "${text}": expected 1 token or more`);
}
