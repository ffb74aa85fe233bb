/** Interpolation on measured bundles: nowhere worse than linear, better where the shape matters. */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type AccuracyRow, accuracyLines, accuracyOf } from './accuracy.js';
import { loadTable } from './cli/load-table.js';

const refdata = new URL('../../../../shared/refdata/llmservingsim/', import.meta.url).pathname;
const v1 = `${refdata}v1/profiles/`;
const v0 = `${refdata}v0/profiles/`;

/** Nowhere worse than linear, at the two digits that are printed. */
function expectNoneWorse(rows: readonly AccuracyRow[]): void {
  for (const { operator, axis, linear, ours } of rows) {
    // An operator of one or two points has none inside.
    if (ours.points === 0) continue;
    const place = `${operator}, ${axis}`;
    expect(ours.points, place).toBeGreaterThan(30);
    expect(ours.meanAbsPercent, place).toBeLessThanOrEqual(linear.meanAbsPercent + 0.005);
  }
}

describe.skipIf(!existsSync(refdata))('left-out measurements (needs ../shared)', () => {
  test.each(['RTX4090', 'RTXPRO6000'])('%s', (hardware) => {
    const rows = accuracyOf(loadTable(`${v1}${hardware}/meta-llama/Llama-3.1-8B/bf16`, {}));
    const gain = (operator: string, axis: string): number => {
      const row = rows.find((one) => one.operator === operator && one.axis === axis);
      if (row === undefined) throw new Error(`no row of ${operator}, ${axis}`);
      return 1 - row.ours.meanAbsPercent / row.linear.meanAbsPercent;
    };
    expectNoneWorse(rows);
    expect(gain('attention: one chunk', 'chunk')).toBeGreaterThan(0.04);
    expect(gain('attention: mixed', 'decodes')).toBeGreaterThan(0.1);
    expect(gain('attention: mixed', 'chunk')).toBeGreaterThan(0.05);
    expect(gain('attention: unequal', 'longest')).toBeGreaterThan(0.4);
    expect(gain('attention: unequal mix', 'longest')).toBeGreaterThan(0.2);
    expect(accuracyLines(rows)).toHaveLength(rows.length + 1);
  });

  test.each([
    'A6000/meta-llama/Llama-3.1-8B',
    'A6000/microsoft/Phi-mini-MoE-instruct',
    'H100/meta-llama/Llama-3.1-70B',
    'H100/mistralai/Mixtral-8x7B-v0.1',
    'TPU-v6e-1/meta-llama/Llama-3.1-8B',
  ])('%s, chunks every 32 tokens', (bundle) => {
    const rows = accuracyOf(loadTable(`${v0}${bundle}`, {}));
    expectNoneWorse(rows);
    const contexts = rows.filter(
      ({ operator, axis }) => operator.endsWith('chunk') && axis === 'context',
    );
    expect(contexts.length).toBeGreaterThan(0);
    for (const { ours } of contexts) expect(ours.meanAbsPercent).toBeLessThan(2.5);
  });
});
