/** How latency models answered a run's lookups, and what they were made from. */
import { z } from 'zod';
import type { LatencyModel } from './latency-model.js';
import { profileInfoSchema } from './profile-table.js';

const count = z.number().int().nonnegative();

export const profileUseSchema = profileInfoSchema
  .pick({
    hardware: true,
    model: true,
    dtype: true,
    measurement: true,
    engine: true,
    caution: true,
    source: true,
  })
  .describe('a profile that was looked up');

export const lookupCountsSchema = z
  .strictObject({
    total: count,
    extrapolated: count.describe("outside the profiles' tables"),
    profiles: z.array(profileUseSchema).describe('by hardware, model and dtype'),
  })
  .refine(
    ({ total, extrapolated }) => extrapolated <= total,
    'expected no more extrapolated lookups than lookups',
  );

export type ProfileUse = Readonly<z.infer<typeof profileUseSchema>>;
export type LookupCounts = Readonly<z.infer<typeof lookupCountsSchema>>;

export function countLookups(models: Iterable<LatencyModel>): LookupCounts {
  let total = 0;
  let extrapolated = 0;
  const profiles: ProfileUse[] = [];
  for (const { counters, hardware, model, dtype, source, engine, ...about } of models) {
    const { measurement = 'unknown', caution } = about;
    total += counters.exact + counters.interpolated + counters.extrapolated;
    extrapolated += counters.extrapolated;
    const by = engine === undefined ? {} : { engine };
    const but = caution === undefined ? {} : { caution };
    profiles.push({ hardware, model, dtype, measurement, ...by, ...but, source });
  }
  const nameOf = (use: ProfileUse): string => `${use.hardware} ${use.model} ${use.dtype}`;
  profiles.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  return { total, extrapolated, profiles };
}
