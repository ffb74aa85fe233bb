/**
 * ASTRA-sim's own figures. The committed table protects them everywhere; with `../shared` beside the
 * repository a sample of all cases runs too (`npm run conformance` runs every one).
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { ExecutionGraph } from '@astrolabe/chakra';
import { describe, expect, test } from 'vitest';
import { condensedGraphSchema, expandGraph } from './condensed.js';
import { decodeList, encodeList, type GoldenCase, goldenCaseSchema } from './golden-case.js';
import { answerCase, GraphFolder, type GraphSource, judge } from './run-case.js';

const root = fileURLToPath(new URL('../../../../../', import.meta.url));
const table = join(root, 'test/conformance/astra-golden.ndjson');
const shared = join(root, '../shared/refdata/astra_golden');

function readTable(): { graphs: GraphSource; cases: GoldenCase[] } {
  const graphs = new Map<string, ExecutionGraph>();
  const cases: GoldenCase[] = [];
  for (const line of readFileSync(table, 'utf8').trim().split('\n')) {
    const value: unknown = JSON.parse(line);
    const graph = condensedGraphSchema.safeParse(value);
    if (graph.success) graphs.set(graph.data.graph, expandGraph(graph.data.nodes));
    else cases.push(goldenCaseSchema.parse(value));
  }
  return { cases, graphs: { load: (name) => graphs.get(name) as ExecutionGraph } };
}

describe('the committed golden table', () => {
  const { graphs, cases } = readTable();
  test.each([...new Set(cases.map((golden) => golden.table))])('%s', (name) => {
    const own = cases.filter((golden) => golden.table === name);
    const different = own.flatMap((golden) => {
      const reason = judge(golden, answerCase(golden, graphs));
      return reason === undefined ? [] : [`${golden.id}: ${reason}`];
    });
    expect(different).toEqual([]);
  });

  test('folded and closed runs are equal to expanded ones', () => {
    for (const golden of cases) {
      const fast = answerCase(golden, graphs, 'always');
      expect(fast, golden.id).toEqual(answerCase(golden, graphs, 'never'));
    }
  });
});

describe.skipIf(!existsSync(shared))('golden cases of ../shared (needs ../shared)', () => {
  test('every 12th case is equal, repaired or refused with a reason', () => {
    const text = gunzipSync(readFileSync(join(shared, 'cases.jsonl.gz'))).toString();
    const folder = new GraphFolder(join(shared, 'workloads'));
    const lines = text.trim().split('\n');
    const different = lines
      .filter((_, i) => i % 12 === 5)
      .flatMap((line) => {
        const golden = goldenCaseSchema.parse(JSON.parse(line));
        const reason = judge(golden, answerCase(golden, folder));
        return reason === undefined ? [] : [`${golden.id}: ${reason}`];
      });
    expect(different).toEqual([]);
  });
});

test('run-length coded lists', () => {
  expect(decodeList('4136*2;;5', 'x')).toEqual(['4136', '4136', undefined, '5']);
  expect(decodeList('20531;*3', 'x')).toEqual(['20531', undefined, undefined, undefined]);
  expect(encodeList(['1', '2', '2', undefined, undefined, '5'])).toBe('1;2*2;*2;5');
  expect(() => decodeList('12,3', 'case')).toThrow('case: "12,3" is no figure');
});
