/**
 * Goal: an Arrow stream with compressed columns is refused by name, not as a damaged one. Method:
 * Arrow's own writer, with a codec that wraps what it is given into an LZ4 frame of one stored block;
 * once with dictionaries, whose batches come first, and once with plain columns only.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProfileTableBuilder } from '@astrolabe/profile';
import { encodeProfile } from '@astrolabe/profile/arrow';
import {
  CompressionType,
  compressionRegistry,
  type Table,
  tableFromArrays,
  tableFromIPC,
  tableToIPC,
} from 'apache-arrow';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadTable } from './load-table.js';

/** Magic number, flags (version 1, independent blocks), largest block (64 KB), checksum of the two. */
const frameHead = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];

/** LZ4 frame format 1.6: the head, the block's length with the bit that says "stored", the end mark. */
function storedFrame(bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(frameHead.length + 4 + bytes.length + 4);
  frame.set(frameHead);
  new DataView(frame.buffer).setUint32(frameHead.length, bytes.length + 2 ** 31, true);
  frame.set(bytes, frameHead.length + 4);
  return frame;
}

compressionRegistry.set(CompressionType.LZ4_FRAME, { encode: storedFrame });

function profile(): Table {
  const builder = new ProfileTableBuilder();
  builder.add({ kind: 'dense', operator: 'qkv_proj', tp: 1, tokens: 16, durationNs: 1234 });
  const names = { hardware: 'GPU', model: 'org/Model', dtype: 'bf16' } as const;
  const info = { ...names, source: 'made up', measurement: 'kernel' } as const;
  return tableFromIPC(encodeProfile(builder.build(info)));
}

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'compressed-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function write(table: Table, compression: CompressionType | null): string {
  const file = join(folder, 'table.arrow');
  writeFileSync(file, tableToIPC(table, 'stream', compression));
  return file;
}

test.each([
  ['dictionaries first', profile],
  ['plain columns', () => tableFromArrays({ tp: Int32Array.of(1, 2, 3) })],
])('compressed columns are refused: %s', (_, make) => {
  const file = write(make(), CompressionType.LZ4_FRAME);
  expect(() => loadTable(file, {})).toThrow(
    `${file}: columns are compressed, expected an uncompressed Arrow stream`,
  );
});

test('the same stream without compression is read', () => {
  expect(loadTable(write(profile(), null), {}).length).toBe(1);
});
