/**
 * Goal: what nobody measured on a device predicts its real run as well as the pages say. Method: the
 * commands of those pages, and the measured run of the RTX PRO 6000 with nothing fitted.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inFolder, isBuilt, root, run } from './commands.js';

const shared = join(root, '../shared/refdata');
const measured = join(shared, 'llmservingsim/v1/profiles/RTX4090/meta-llama/Llama-3.1-8B/bf16');
const model = join(root, 'cluster_config/models/meta-llama/Llama-3.1-8B.json');

/** Signed errors of the run with the profiles in a folder, percent. */
async function errorsWith(profiles: string): Promise<Record<string, number>> {
  const flags = ['--case', 'v1-rtxpro6000-llama8b', '--calibration', 'none'];
  const manifest = join(shared, 'cases.json');
  const json = ['--format', 'json', '--profiles', profiles];
  const { stdout } = await run('validate', [manifest, ...flags, ...json]);
  const [{ rows }] = JSON.parse(stdout.toString());
  const errorOf = (metric: string): number =>
    rows.find((row: { metric: string }) => row.metric === metric).errorPct;
  return { tpot: errorOf('tpotMean'), latency: errorOf('latencyMean') };
}

describe.skipIf(!isBuilt || !existsSync(shared))('derived profiles (need ../shared)', () => {
  test.each([
    ['a roofline', ['roofline', '--device', 'RTXPRO6000', '--model', model], -14.7, -20.3],
    [
      'a transfer from the RTX 4090',
      ['transfer', measured, '--to-device', 'RTXPRO6000', '--from-model', model],
      -8.5,
      -12.4,
    ],
  ])('%s', (_, command, tpot, latency) =>
    inFolder(async (folder) => {
      const path = join(folder, 'RTXPRO6000/meta-llama/Llama-3.1-8B/bf16.arrow');
      const made = await run('profiler-ingest', [...command, '-o', path]);
      expect(made.code, made.stderr).toBe(0);
      const errors = await errorsWith(folder);
      // The goal of rooflines is 25 %, of transfers 15 %; the pages give these figures.
      expect(errors.tpot).toBeCloseTo(tpot, 0);
      expect(errors.latency).toBeCloseTo(latency, 0);
    }),
  );
});
