/** Goal: tables survive Arrow and damaged streams do not. Method: encode, cut, overwrite. */
import { UserError } from '@astrolabe/base';
import { Schema, Table, tableFromArrays, tableFromIPC, tableToIPC } from 'apache-arrow';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { exampleInfo } from '../example-info.test-helper.js';
import { type ProfileRow, ProfileTableBuilder, requiredKeys, rowsOf } from '../profile-table.js';
import { checkStream } from './check-stream.js';
import { decodeProfile, encodeProfile } from './profile-codec.js';

const rows: ProfileRow[] = [
  { kind: 'dense', operator: 'qkv_proj', tp: 1, tokens: 16, durationNs: 1234 },
  { kind: 'moe', operator: 'moe', tp: 2, tokens: 16, activatedExperts: 8, durationNs: 5 },
  {
    kind: 'skew',
    operator: 'attention',
    tp: 1,
    tokens: 0,
    contextTokens: 0,
    sequences: 4,
    decodeContextTokens: 9,
    decodeContextMin: 1,
    decodeContextMax: 30,
    durationNs: 7,
    meanDurationNs: 6,
    maxDurationNs: 12,
  },
];
function build(): Uint8Array {
  const builder = new ProfileTableBuilder();
  for (const row of rows) builder.add(row);
  return encodeProfile(builder.build(exampleInfo));
}

test('round trip keeps rows and info; unused keys are null to other readers', () => {
  const bytes = build();
  const table = decodeProfile(bytes, 'a.arrow');
  expect([...rowsOf(table)]).toEqual(rows);
  expect(table.info).toEqual(exampleInfo);
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
    const bytes = encodeProfile(builder.build(exampleInfo));
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

const words = [0, 1, 0x100, 0x10000, 0x1000000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff];

/** A byte, or 4 of them: a length, an offset, a count. */
const damage = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  to: fc.oneof(
    fc.nat(255).map((byte) => Uint8Array.of(byte)),
    fc.constantFrom(...words).map((word) => new Uint8Array(Uint32Array.of(word).buffer)),
    fc.nat(4000).map((word) => new Uint8Array(Uint32Array.of(word).buffer)),
  ),
});

function overwrite(bytes: Uint8Array, { at, to }: { at: number; to: Uint8Array }): void {
  const from = Math.floor(at * bytes.length);
  bytes.set(to, Math.min(from - (from % to.length), bytes.length - to.length));
}

test('the library never sees a message that refers to more than is there', () => {
  const good = build();
  const refused = new Set<string>();
  for (let at = 8; at < good.length - 8; at += 4) {
    const bytes = good.slice();
    overwrite(bytes, { at: at / good.length, to: Uint8Array.of(0xff, 0xff, 0xff, 0x7f) });
    try {
      checkStream(bytes, 'a.arrow');
    } catch (error) {
      refused.add((error as Error).message);
    }
  }
  expect(refused).toContain('a flatbuffer that refers to more bytes than it has');
  expect(refused).toContain(
    'a.arrow: a damaged Arrow stream, expected a profile of profiler-ingest',
  );
});

test('a damaged stream is an error with its file, or rows that can be', () => {
  const good = build();
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
      const bytes = good.slice();
      for (const each of damages) overwrite(bytes, each);
      try {
        const read = decodeProfile(bytes, 'a.arrow');
        expect(read.length).toBe(rows.length);
        for (const row of rowsOf(read)) {
          expect(typeof row.operator).toBe('string');
          for (const value of Object.values(row)) expect(value).not.toBeNaN();
          for (const key of requiredKeys[row.kind]) expect(row[key]).toBeGreaterThanOrEqual(0);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        expect((error as Error).message).toMatch(/^a\.arrow: /);
      }
    }),
    { seed: 1, numRuns: 3000 },
  );
});

test('rows without a key that they are looked up by, and columns of words for numbers, are refused', () => {
  const builder = new ProfileTableBuilder();
  builder.add(rows[0]);
  builder.add({ kind: 'moe', operator: 'moe', tp: 1, tokens: 4, durationNs: 5 });
  expect(() => decodeProfile(encodeProfile(builder.build(exampleInfo)), 'a.arrow')).toThrow(
    'a.arrow: row 1: activatedExperts: expected a number >= 0, got none',
  );
  const metadata = new Map([['astrolabe.profile', JSON.stringify(exampleInfo)]]);
  const words = tableFromArrays({ kind: ['dense'], operator: ['a'], tp: ['1'] });
  const table = new Table(new Schema(words.schema.fields, metadata), words.batches);
  expect(() => decodeProfile(tableToIPC(table), 'a.arrow')).toThrow(
    'a.arrow: column "tp": expected numbers, got Dictionary<Int32, Utf8>',
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
  const feather = new TextEncoder().encode('ARROW1\0\0....');
  expect(() => decodeProfile(feather, 'x.arrow')).toThrow(
    'x.arrow: an Arrow file (Feather), expected an Arrow stream',
  );
});
