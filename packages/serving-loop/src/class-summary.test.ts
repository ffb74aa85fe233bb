/** Classes of requests, on rows whose times are given and in a run. */
import { describe, expect, it } from 'vitest';
import { classCells, formatClasses, summariseClasses } from './class-summary.js';
import { clusterOf, runFixed } from './machine.test-helper.js';
import { type RequestResult, requestResults } from './metrics.js';
import { formatSummary, summarise } from './summary.js';

function row(ttftMs: number | null): RequestResult {
  const ns = ttftMs === null ? null : ttftMs * 1e6;
  const status = ttftMs === null ? 'unfinished' : 'finished';
  return { ttftNs: ns, tpotNs: null, latencyNs: ns, status } as RequestResult;
}

describe('classes', () => {
  it('each has figures of its own; requests without one come last', () => {
    const rows = [row(10), row(100), row(30), row(null), row(1)];
    const found = summariseClasses(rows, ['b', 'a', 'b', 'a', undefined]);
    expect(found.map((one) => [one.class, one.requests, one.finished, one.ttftMs?.mean])).toEqual([
      ['a', 2, 1, 100],
      ['b', 2, 2, 20],
      [null, 1, 1, 1],
    ]);
    expect(classCells(found[0])).toEqual([
      '1 of 2',
      '100.00',
      '100.00',
      '-',
      '-',
      '100.00',
      '100.00',
    ]);
  });

  it('one class alone is what the whole run is', () => {
    expect(summariseClasses([row(1), row(2)], ['a', 'a'])).toEqual([]);
    expect(summariseClasses([row(1), row(2)], [])).toEqual([]);
    expect(formatClasses([])).toEqual([]);
  });

  it('many classes do not bury the rest of the summary', () => {
    const rows = Array.from({ length: 25 }, () => row(1));
    const classes = rows.map((_, i) => `tenant ${String(i).padStart(2, '0')} of a long name`);
    const lines = formatClasses(summariseClasses(rows, classes));
    expect(lines).toHaveLength(2 + 20 + 1);
    expect(lines[2]).toMatch(/^tenant 00 of a long name +1 +1\.00/);
    expect(lines.at(-1)).toBe('... and 5 more in summary.json');
  });

  it('stand in the summary of a workload that has them, and only there', async () => {
    const summaryOf = async (classes: readonly (string | undefined)[]) => {
      const requests = classes.map((sloClass, id) => ({
        id,
        arrivalNs: 0,
        promptTokens: 100,
        outputTokens: 3 + id,
        ...(sloClass === undefined ? {} : { sloClass }),
      }));
      const run = await runFixed({ cluster: clusterOf([{}]), requests });
      return summarise(run, requestResults(run), { fitted: [], lookups: undefined });
    };
    const plain = await summaryOf([undefined, undefined]);
    expect(plain).not.toHaveProperty('classes');
    const summary = await summaryOf(['chat', 'batch']);
    // Steps of 10 ms; both prompts fit into the first.
    const latency = new Map(summary.classes?.map((one) => [one.class, one.latencyMs?.mean]));
    expect([...latency]).toEqual([
      ['batch', 40],
      ['chat', 30],
    ]);
    expect(formatSummary(summary)).toMatch(/^batch +1 +10\.00 +10\.00 +10\.00 +10\.00 +40\.00/m);
  });
});
