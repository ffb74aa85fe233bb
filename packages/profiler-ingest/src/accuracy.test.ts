/** Interpolation on measured bundles: nowhere worse than linear, better where the shape matters. */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { accuracyLines, accuracyOf } from './accuracy.js';
import { loadTable } from './cli/load-table.js';

const bundles = new URL('../../../../shared/refdata/llmservingsim/v1/profiles/', import.meta.url)
  .pathname;

describe.skipIf(!existsSync(bundles))('left-out measurements (needs ../shared)', () => {
  test.each(['RTX4090', 'RTXPRO6000'])('%s', (hardware) => {
    const rows = accuracyOf(loadTable(`${bundles}${hardware}/meta-llama/Llama-3.1-8B/bf16`, {}));
    const gain = (operator: string, axis: string): number => {
      const row = rows.find((one) => one.operator === operator && one.axis === axis);
      if (row === undefined) throw new Error(`no row of ${operator}, ${axis}`);
      return 1 - row.ours.meanAbsPercent / row.linear.meanAbsPercent;
    };
    for (const { operator, axis, linear, ours } of rows) {
      const place = `${operator}, ${axis}`;
      expect(ours.points, place).toBeGreaterThan(30);
      expect(ours.meanAbsPercent, place).toBeLessThanOrEqual(linear.meanAbsPercent + 0.005);
    }
    expect(gain('attention: one chunk', 'chunk')).toBeGreaterThan(0.04);
    expect(gain('attention: mixed', 'decodes')).toBeGreaterThan(0.1);
    expect(gain('attention: mixed', 'chunk')).toBeGreaterThan(0.05);
    expect(gain('attention: unequal', 'longest')).toBeGreaterThan(0.4);
    expect(gain('attention: unequal mix', 'longest')).toBeGreaterThan(0.2);
    expect(accuracyLines(rows)).toHaveLength(rows.length + 1);
  });
});
