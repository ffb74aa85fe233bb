/**
 * Result files that exist only when a feature is on. Without the feature neither the file nor its
 * name in the manifest appears, so a run's folder is the same as if the feature did not exist.
 */
import { tierColumns } from '../kv/tier-series.js';
import type { RequestResult } from '../metrics.js';
import {
  powerColumns,
  powerRows,
  requestEnergyColumns,
  requestEnergyRows,
} from '../power/power-report.js';
import type { RunResult } from '../run-result.js';
import { toCsv } from './table.js';

export const featureFileNames = ['kv-pools.csv', 'power.csv', 'request-energy.csv'] as const;
type FeatureFileName = (typeof featureFileNames)[number];

interface FeatureFile {
  readonly name: FeatureFileName;
  readonly text: string;
}

export function featureFiles(run: RunResult, results: readonly RequestResult[]): FeatureFile[] {
  const files: FeatureFile[] = [];
  if (run.engines.some(({ kv }) => kv.prefixCaching)) {
    files.push({ name: 'kv-pools.csv', text: toCsv(run.tiers.rows(), tierColumns) });
  }
  if (run.power !== undefined) {
    files.push({ name: 'power.csv', text: toCsv(powerRows(run.power), powerColumns) });
    files.push({
      name: 'request-energy.csv',
      text: toCsv(requestEnergyRows(run.power, results), requestEnergyColumns),
    });
  }
  return files;
}
