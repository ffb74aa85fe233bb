/** Runs every case with one term switched at a time. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  const folder = mkdtempSync(join(tmpdir(), 'ablation-'));
  try {
    const base: (number | undefined)[] = [];
    for (const given of cases) base.push(await errorOf(given, options));
    const rows: AblationRow[] = [];
    for (const ablation of ablations) {
      const changed = withAblation(ablation, options, folder);
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
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function errorOf(given: Case, options: RunCaseOptions): Promise<number | undefined> {
  return meanAbsoluteError((await runCase(given, options)).result);
}

function withAblation(
  { terms, engine, calibration }: Ablation,
  options: RunCaseOptions,
  folder: string,
): RunCaseOptions {
  if (calibration === undefined) return { ...options, terms, engine };
  const path = join(folder, 'calibration.json');
  writeFileSync(path, JSON.stringify(calibration(loadCalibration(options.calibration))));
  return { ...options, calibration: path };
}
