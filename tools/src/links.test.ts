import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { brokenLinks, checkLinks, headings, missingRooms, missingTests } from './links.js';

describe('links', () => {
  it('the rooms of the architecture are there', () => {
    expect(missingRooms(fileURLToPath(new URL('../..', import.meta.url)))).toEqual([]);
  });

  it('between our pages lead somewhere', () => {
    const root = fileURLToPath(new URL('../..', import.meta.url));
    expect(checkLinks(root)).toEqual([]);
  });

  it('are found, with and without an anchor', () => {
    const text = 'see [a](docs/a.md) and\n[b](b.md#part), [c](https://example.org)';
    expect(brokenLinks(text, (target) => target === 'docs/a.md')).toEqual([
      { line: 2, target: 'b.md#part' },
    ]);
  });

  it('name headings', () => {
    const page = '# One page\n```\n# a comment\n```\n## `npm run x` -- what, and why?';
    expect([...headings(page)]).toEqual(['one-page', 'npm-run-x----what-and-why']);
    const known = (_: string, anchor: string | undefined): boolean => anchor === 'one-page';
    expect(brokenLinks('[a](#one-page) [b](#two)', known)).toEqual([{ line: 1, target: '#two' }]);
  });
});

describe('tests that pages name', () => {
  it('are the end of a path', () => {
    const text = 'see `kv/a.test.ts`\n`a.test.ts`, `v/a.test.ts` and `b.test.ts`';
    expect(missingTests(text, ['/src/kv/a.test.ts'])).toEqual([
      { line: 2, test: 'v/a.test.ts' },
      { line: 2, test: 'b.test.ts' },
    ]);
  });
});
