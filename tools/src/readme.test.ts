/**
 * Goal: figures of the README are today's. Method: its accuracy table against the generated table of
 * docs/accuracy.md, case by case, rounded to a tenth. What the first command prints is in
 * test/pipeline/docs.test.ts.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const cells = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

const columns = ['ttftMean', 'tpotMean', 'latencyMean', 'throughput', 'cumulativeTokens'];
const accuracy = read('docs/accuracy.md');
const readme = read('README.md');

function errorOf(id: string, metric: string): string {
  const row = accuracy
    .split('\n')
    .map(cells)
    .find((one) => one[0] === id && one[2] === metric);
  const error = Number(row?.[5].replaceAll('*', ''));
  return `${error < 0 ? '' : '+'}${error.toFixed(1)}`;
}

describe('the README', () => {
  const rows = readme.split('\n').filter((line) => /^\| .*`(v1|fig\d)-[^`]*` \|/.test(line));

  it('has the errors of docs/accuracy.md', () => {
    expect(rows.length).toBeGreaterThanOrEqual(5);
    for (const row of rows) {
      const id = /`([^`]+)`/.exec(row)?.[1] ?? '';
      cells(row)
        .slice(1)
        .forEach((value, i) => {
          if (value !== '')
            expect([id, columns[i], value]).toEqual([id, columns[i], errorOf(id, columns[i])]);
        });
    }
  });

  it('counts the cases as docs/accuracy.md does', () => {
    const words = [
      'none',
      'one',
      'two',
      'three',
      'four',
      'five',
      'six',
      'seven',
      'eight',
      'nine',
      'ten',
      'eleven',
      'twelve',
    ];
    const [, passed, failed] = /^(\d+) passed, (\d+) failed/m.exec(accuracy) ?? [];
    expect(readme).toContain(
      `${words[Number(passed)]} meet all their limits. The ${words[Number(failed)]} `,
    );
  });
});
