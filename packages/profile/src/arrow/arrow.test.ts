/** Goal: tables survive Arrow and damaged streams do not. Method: encode, cut at every message. */
import { UserError } from '@astrolabe/base';
import { tableFromIPC } from 'apache-arrow';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ProfileRow, ProfileTableBuilder, rowsOf } from '../profile-table.js';
import { decodeProfile, encodeProfile } from './index.js';

const rows: ProfileRow[] = [
  { kind: 'dense', operator: 'qkv_proj', tp: 1, tokens: 16, durationNs: 1234 },
  { kind: 'moe', operator: 'moe', tp: 2, tokens: 16, activatedExperts: 8, durationNs: 5 },
  {
    kind: 'skew',
    operator: 'attention',
    tp: 1,
    tokens: 0,
    sequences: 4,
    decodeContextTokens: 9,
    decodeContextMin: 1,
    decodeContextMax: 30,
    durationNs: 7,
    meanDurationNs: 6,
    maxDurationNs: 12,
  },
];
const info = {
  hardware: 'GPU',
  model: 'org/Model',
  dtype: 'bf16',
  source: 'made up',
  measurement: 'kernel',
} as const;

function build(): Uint8Array {
  const builder = new ProfileTableBuilder();
  for (const row of rows) builder.add(row);
  return encodeProfile(builder.build(info));
}

test('round trip keeps rows and info; unused keys are null to other readers', () => {
  const bytes = build();
  const table = decodeProfile(bytes, 'a.arrow');
  expect([...rowsOf(table)]).toEqual(rows);
  expect(table.info).toEqual(info);
  const arrow = tableFromIPC(bytes);
  expect(arrow.getChild('tokens')?.toArray()).toEqual(Int32Array.of(16, 16, 0));
  expect(arrow.getChild('sequences')?.get(0)).toBe(null);
  expect(arrow.getChild('operator')?.get(1)).toBe('moe');
  expect(arrow.schema.metadata.get('units')).toContain('ns');
});

test('a row without a time, or with none that can be, is refused with its number', () => {
  for (const [durationNs, came] of [
    [Number.NaN, 'none'],
    [-1, '-1'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
  ] as const) {
    const builder = new ProfileTableBuilder();
    builder.add(rows[0]);
    builder.add({ ...rows[0], durationNs });
    const bytes = encodeProfile(builder.build(info));
    expect(() => decodeProfile(bytes, 'a.arrow')).toThrow(
      `a.arrow: row 1: durationNs: expected a number >= 0, got ${came}`,
    );
  }
});

test('wrong lengths of a message are refused', () => {
  const good = build();
  fc.assert(
    fc.property(fc.integer({ min: 4, max: 7 }), fc.nat(255), (at, to) => {
      fc.pre(good[at] !== to);
      const bytes = good.slice();
      bytes[at] = to;
      expect(() => decodeProfile(bytes, 'a.arrow')).toThrow(UserError);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('same table, same bytes', () => {
  expect(build()).toEqual(build());
});

test('a stream cut anywhere is an error with its place', () => {
  const bytes = build();
  for (let length = 0; length < bytes.length - 8; length += 8) {
    expect(() => decodeProfile(bytes.subarray(0, length), 'cut.arrow')).toThrow(
      /^cut\.arrow: byte \d+: Arrow stream cut short/,
    );
  }
});

test('other bytes are not a profile', () => {
  const text = new TextEncoder().encode('layer,tokens,time_us\nact_fn,1,2.5\n');
  expect(() => decodeProfile(text, 'x.arrow')).toThrow(/^x\.arrow: byte 0: not an Arrow stream/);
});
