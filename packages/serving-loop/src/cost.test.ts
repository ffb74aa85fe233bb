/** What tokens cost: by hand, and in the summary of a run. */
import { expect, test } from 'vitest';
import { formatCost, summariseCost } from './cost.js';
import { clusterOf, runFixed } from './machine.test-helper.js';
import { requestResults } from './metrics.js';
import { formatSummary, summarise } from './summary.js';

test('an hour at 1000 output and 3000 prompt tokens/s is 3.6 and 14.4 million tokens', () => {
  const cost = summariseCost(7.2, { promptTokensPerS: 3000, outputTokensPerS: 1000 });
  expect(cost.perMillionOutputTokens).toBeCloseTo(2, 12);
  expect(cost.perMillionTokens).toBeCloseTo(0.5, 12);
  expect(formatCost(cost)).toBe(
    'cost          7.2 an hour, 2 per million output tokens, ' +
      '0.5 per million prompt and output tokens',
  );
  const none = summariseCost(1200.4, { promptTokensPerS: 0, outputTokensPerS: 0 });
  expect(none).toEqual({ perHour: 1200.4, perMillionOutputTokens: null, perMillionTokens: null });
  expect(formatCost(none)).toMatch(/^cost +1200 an hour, - per million output tokens, - per/);
});

test('every device of every instance is paid for; without prices nothing is said', async () => {
  const requests = [{ id: 0, arrivalNs: 0, promptTokens: 100, outputTokens: 10 }];
  const summaryOf = async (...instances: object[]) => {
    const run = await runFixed({ cluster: clusterOf(instances), requests });
    return summarise(run, requestResults(run), { fitted: [], lookups: undefined });
  };
  const ffn = { hardware: 'Y', tp_size: 2, npu_mem: { mem_size: 1, mem_bw: 1000 } };
  const summary = await summaryOf(
    { device_cost_per_hour: 3, tp_size: 2 },
    { device_cost_per_hour: 0.5, ffn },
  );
  // 10 tokens in 10 steps of 10 ms.
  expect(summary.cost?.perHour).toBe(2 * 3 + 3 * 0.5);
  expect(summary.cost?.perMillionOutputTokens).toBeCloseTo((7.5 / 3600 / 100) * 1e6, 9);
  expect(formatSummary(summary)).toMatch(/^cost +7\.5 an hour, 20\.8 per million output tokens/m);
  expect(await summaryOf({})).not.toHaveProperty('cost');
});

test('a price that one instance lacks is asked for', () => {
  expect(() => clusterOf([{ device_cost_per_hour: 3 }, {}])).toThrow(
    'example: nodes[0].instances[1].device_cost_per_hour: is missing: other instances have one',
  );
});
