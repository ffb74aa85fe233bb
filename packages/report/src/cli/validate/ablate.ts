/** Runs every case with one term switched at a time. */
import { loadCalibration } from '@astrolabe/config/cli';
import {
  type Ablation,
  type AblationRow,
  ablations,
  formatAblation,
  meanAbsoluteError,
} from '../../validate/ablation.js';
import type { Case } from '../../validate/manifest.js';
import { type RunCaseOptions, runCase } from './run-case.js';

/** @returns a Markdown table: terms by cases */
export async function ablate(cases: readonly Case[], options: RunCaseOptions): Promise<string> {
  const base: (number | undefined)[] = [];
  for (const given of cases) base.push(await errorOf(given, options));
  const rows: AblationRow[] = [];
  for (const ablation of ablations) {
    const changed = withAblation(ablation, options);
    const gains: (number | undefined)[] = [];
    for (const [i, given] of cases.entries()) {
      const error = await errorOf(given, changed);
      const known = base[i];
      if (error === undefined || known === undefined) gains.push(undefined);
      else gains.push(ablation.isOff === true ? known - error : error - known);
    }
    rows.push({ name: ablation.name, gains });
  }
  return formatAblation(
    cases.map(({ id }, i) => ({ id, error: base[i] })),
    rows,
  );
}

async function errorOf(given: Case, options: RunCaseOptions): Promise<number | undefined> {
  return meanAbsoluteError((await runCase(given, options)).result);
}

function withAblation(
  { terms, engine, calibration }: Ablation,
  options: RunCaseOptions,
): RunCaseOptions {
  if (calibration === undefined) return { ...options, terms, engine };
  return { ...options, calibration: calibration(loadCalibration(options.calibration)) };
}
