/** How latency models answered a run's lookups, and what they were made from. */
import type { LatencyModel } from './latency-model.js';
import type { MeasurementKind } from './profile-table.js';

/** A profile that was looked up. */
export interface ProfileUse {
  readonly hardware: string;
  readonly model: string;
  readonly dtype: string;
  readonly measurement: MeasurementKind;
  readonly source: string;
}

export interface LookupCounts {
  readonly total: number;
  /** Outside the profiles' tables. */
  readonly extrapolated: number;
  /** By hardware, model and dtype. */
  readonly profiles: readonly ProfileUse[];
}

export function countLookups(models: Iterable<LatencyModel>): LookupCounts {
  let total = 0;
  let extrapolated = 0;
  const profiles: ProfileUse[] = [];
  for (const { counters, hardware, model, dtype, source, measurement = 'unknown' } of models) {
    total += counters.exact + counters.interpolated + counters.extrapolated;
    extrapolated += counters.extrapolated;
    profiles.push({ hardware, model, dtype, measurement, source });
  }
  const nameOf = (use: ProfileUse): string => `${use.hardware} ${use.model} ${use.dtype}`;
  profiles.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  return { total, extrapolated, profiles };
}
