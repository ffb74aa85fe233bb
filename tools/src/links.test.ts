import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { brokenLinks, checkLinks } from './links.js';

describe('links', () => {
  it('between our pages lead somewhere', () => {
    const root = fileURLToPath(new URL('../..', import.meta.url));
    expect(checkLinks(root)).toEqual([]);
  });

  it('are found, with and without an anchor', () => {
    const text = 'see [a](docs/a.md) and\n[b](b.md#part), [c](https://example.org)';
    expect(brokenLinks(text, (target) => target === 'docs/a.md')).toEqual([
      { line: 2, target: 'b.md' },
    ]);
  });
});
