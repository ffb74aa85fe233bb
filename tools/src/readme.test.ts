/**
 * Goal: figures of the README are today's. Method: its table of errors against the generated one of
 * docs/accuracy.md. What the first command prints is in test/pipeline/docs.test.ts.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { withAccuracy } from './readme.js';

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('the README', () => {
  it('has the errors of docs/accuracy.md (else: npx tsc -b && node tools/dist/reference.js)', () => {
    const readme = read('README.md');
    expect(readme.match(/^\| .*`(v1|fig\d+)-/gm)?.length).toBeGreaterThanOrEqual(5);
    expect(readme).toBe(withAccuracy(readme, read('docs/accuracy.md')));
    expect(readme).not.toContain('?  |');
  });

  it('takes over what has changed, and leaves empty cells empty', () => {
    const accuracy = [
      '| fig1-a | acceptance | ttftMean | 1 | 2 | **-3.46** | 1 | |',
      '| fig1-a | acceptance | throughput | 1 | 2 | +0.04 | 1 | |',
      '3 passed, 1 failed',
    ].join('\n');
    const readme = '| a, `fig1-a` | +9.9 | | | -1.0 | |\n9 of 9 cases meet';
    expect(withAccuracy(readme, accuracy)).toBe(
      '| a, `fig1-a` | -3.5 | | | +0.0 | |\n3 of 4 cases meet',
    );
  });
});
