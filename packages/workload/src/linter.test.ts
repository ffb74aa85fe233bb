// Goal: each planted defect is found under its rule, a clean workload gives nothing.
import { describe, expect, it } from 'vitest';
import { Linter } from './linter.js';
import type { Request } from './request.js';

const clean: Request[] = [
  { id: 0, arrivalNs: 1, promptTokens: 4, outputTokens: 3, promptTokenIds: [1, 2, 3, 4] },
  { id: 1, arrivalNs: 2, promptTokens: 5, outputTokens: 2, prefix: { of: 0, tokens: 4 } },
];

function rules(requests: readonly Request[], maxModelLen?: number): string[] {
  const linter = new Linter('w', { maxModelLen });
  const findings = requests.flatMap((request, i) => linter.add(request, `w:${i + 1}`));
  return [...findings, ...linter.end()].map(({ at, level, rule }) => `${at} ${level} ${rule}`);
}

const plain = (id: number, fields: Partial<Request> = {}): Request => ({
  id,
  arrivalNs: id,
  promptTokens: 2,
  outputTokens: 2,
  promptTokenIds: [1, id],
  ...fields,
});

describe('Linter', () => {
  it('is silent on a clean workload', () => {
    expect(rules(clean, 8)).toEqual([]);
  });

  it.each<[string, Request[], string]>([
    [
      'context',
      [...clean, plain(2, { promptTokens: 9, promptTokenIds: Array(9).fill(1) })],
      'w:3 error context',
    ],
    ['unsorted', [plain(0, { arrivalNs: 9 }), plain(1)], 'w:2 error unsorted'],
    ['arrival', [plain(0, { arrivalNs: -1 })], 'w:1 error arrival'],
    ['duplicate-id', [plain(0), plain(3), { ...plain(4), id: 0 }], 'w:3 error duplicate-id'],
    ['arrival', [plain(0, { arrivalNs: 1.7e18 })], 'w:1 error arrival'],
    ['tokens', [plain(0, { outputTokens: 0 })], 'w:1 error tokens'],
    ['ids-length', [plain(0, { promptTokens: 3 })], 'w:1 error ids-length'],
    ['prefix-parent', [plain(0, { prefix: { of: 8, tokens: 1 } })], 'w:1 error prefix-parent'],
    [
      'prefix-length',
      [clean[0], { ...clean[1], prefix: { of: 0, tokens: 8 } }],
      'w:2 error prefix-length',
    ],
    ['dependency', [plain(0, { after: [4] })], 'w:1 error dependency'],
    ['two-clocks', [plain(0), plain(1, { arrivalNs: 8e15 })], 'w:2 warning two-clocks'],
    ['late-start', [plain(0, { arrivalNs: 1e14 })], 'w warning late-start'],
    [
      'no-content',
      [{ id: 0, arrivalNs: 0, promptTokens: 1, outputTokens: 2 }],
      'w warning no-content',
    ],
    [
      'missing-ids',
      [plain(0), { id: 1, arrivalNs: 5, promptTokens: 1, outputTokens: 2 }],
      'w warning missing-ids',
    ],
    ['identical-ids', [plain(0), plain(1, { promptTokenIds: [1, 0] })], 'w warning identical-ids'],
    ['one-instant', [plain(0), plain(1, { arrivalNs: 0 })], 'w warning one-instant'],
    [
      'one-token',
      [plain(0, { outputTokens: 1 }), plain(1, { outputTokens: 1 })],
      'w warning one-token',
    ],
    ['empty', [], 'w error empty'],
  ])('finds %s and nothing else', (_rule, requests, expected) => {
    expect(rules(requests, 10)).toEqual([expected]);
  });
});
