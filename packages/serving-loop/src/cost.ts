/**
 * What tokens cost, from the price of device-hours in the cluster file. Devices are paid for as long
 * as they are there, busy or not, so a service that waits for requests has dearer tokens:
 * price of an hour / tokens of an hour at the rate of the run.
 */
import type { Instance } from '@astrolabe/config';
import { z } from 'zod';

const price = z.number().nonnegative();

export const costSchema = z.strictObject({
  perHour: price.describe('of all devices; in the currency of the cluster file'),
  perMillionOutputTokens: price.nullable().describe('null when there are none'),
  perMillionTokens: price.nullable().describe('prompt and output; cached prompts count, too'),
});
export type Cost = Readonly<z.infer<typeof costSchema>>;

const secondsPerHour = 3600;

/** Prices of all devices for an hour; undefined where the cluster file has none. */
export function costPerHour(instances: readonly Instance[]): number | undefined {
  const priced = instances.filter(({ deviceCostPerHour }) => deviceCostPerHour !== undefined);
  if (priced.length === 0) return undefined;
  return priced.reduce((sum, { npus, ffn, deviceCostPerHour = 0 }) => {
    return sum + deviceCostPerHour * (npus.length + (ffn?.npus.length ?? 0));
  }, 0);
}

/** @param throughput tokens/s over the makespan */
export function summariseCost(
  perHour: number,
  throughput: { readonly promptTokensPerS: number; readonly outputTokensPerS: number },
): Cost {
  const perMillion = (tokensPerS: number): number | null =>
    tokensPerS > 0 ? (1e6 * perHour) / (secondsPerHour * tokensPerS) : null;
  const { promptTokensPerS, outputTokensPerS } = throughput;
  return {
    perHour,
    perMillionOutputTokens: perMillion(outputTokensPerS),
    perMillionTokens: perMillion(promptTokensPerS + outputTokensPerS),
  };
}

export function formatCost({ perHour, perMillionOutputTokens, perMillionTokens }: Cost): string {
  const figure = (value: number | null): string => (value === null ? '-' : threeFigures(value));
  return (
    `cost          ${figure(perHour)} an hour, ${figure(perMillionOutputTokens)} per million ` +
    `output tokens, ${figure(perMillionTokens)} per million prompt and output tokens`
  );
}

function threeFigures(value: number): string {
  return String(value >= 1000 ? Math.round(value) : Number(value.toPrecision(3)));
}
