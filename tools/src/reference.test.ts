import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { rowsOf, withTables } from './reference.js';

const page = readFileSync(new URL('../../docs/cluster-file.md', import.meta.url), 'utf8');

describe('docs/cluster-file.md', () => {
  it('is what the schemas say (else: npx tsc -b && node tools/dist/reference.js)', () => {
    expect(page).toBe(withTables(page));
  });

  it('explains every key', () => {
    const bare = page.split('\n').filter((line) => /^\| `.*\|\s+\|$/.test(line));
    expect(bare).toEqual([]);
  });
});

describe('rows of a schema', () => {
  it('unfold objects, lists of objects and records of objects', () => {
    const leaf = { type: 'number', description: 'W' };
    const object = { type: 'object', properties: { a: leaf }, required: ['a'] };
    const rows = rowsOf(
      {
        properties: {
          one: object,
          many: { type: 'array', items: object },
          named: { type: 'object', additionalProperties: object },
        },
      },
      false,
    );
    expect(rows.map(({ key, fallback }) => [key, fallback])).toEqual([
      ['one.a', 'required'],
      ['many[].a', 'required'],
      ['named.NAME.a', 'required'],
    ]);
  });
});
