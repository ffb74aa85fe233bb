/**
 * Profile tables as Arrow IPC streams: dictionary-encoded `kind` and `operator`, `tp`, one nullable
 * column per key and measured value. The schema's metadata carries the table's info (JSON, key
 * `astrolabe.profile`) and the units in words. Same table, same bytes.
 */
import { parseWith, UserError } from '@astrolabe/base';
import {
  Dictionary,
  Field,
  Float64,
  Int8,
  Int32,
  makeData,
  makeVector,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  type Table,
  tableFromIPC,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow';
import {
  keyColumns,
  type ProfileTable,
  profileInfoSchema,
  record,
  rowKinds,
  valueColumns,
} from '../profile-table.js';

const metadataKey = 'astrolabe.profile';
const units = 'durations ns, one layer on one rank, without communication; sizes bytes; power W';

export function encodeProfile(table: ProfileTable): Uint8Array {
  const columns: [string, Vector][] = [
    ['kind', dictionaryVector(rowKinds, table.kind, new Dictionary(new Utf8(), new Int8(), 0))],
    [
      'operator',
      dictionaryVector(table.operators, table.operator, new Dictionary(new Utf8(), new Int32(), 1)),
    ],
    ['tp', makeVector(makeData({ type: new Int32(), data: Int32Array.from(table.tp) }))],
  ];
  for (const name of keyColumns) {
    const data = table.keys[name];
    if (!data.some((value) => value >= 0)) continue;
    const type = name === 'sizeBytes' ? new Float64() : new Int32();
    columns.push([name, nullable(data, (v) => v >= 0, type)]);
  }
  for (const name of valueColumns) {
    const data = table.values[name];
    const some = name === 'durationNs' || data.some((value) => !Number.isNaN(value));
    if (some) columns.push([name, nullable(data, (v) => !Number.isNaN(v), new Float64())]);
  }
  const metadata = new Map([
    [metadataKey, JSON.stringify(table.info)],
    ['units', units],
  ]);
  const fields = columns.map(([name, vector]) => new Field(name, vector.type, true));
  const schema = new Schema(fields, metadata);
  const struct = makeData({
    type: new Struct(fields),
    length: table.length,
    nullCount: 0,
    children: columns.map(([, vector]) => vector.data[0]),
  });
  const writer = new RecordBatchStreamWriter();
  writer.write(new RecordBatch(schema, struct));
  writer.finish();
  return writer.toUint8Array(true);
}

function dictionaryVector(
  words: readonly string[],
  indices: ArrayLike<number>,
  type: Dictionary<Utf8, Int8 | Int32>,
): Vector {
  const data = type.indices instanceof Int8 ? Int8Array.from(indices) : Int32Array.from(indices);
  const dictionary = vectorFromArray([...words], new Utf8());
  return makeVector(makeData({ type, length: data.length, nullCount: 0, data, dictionary }));
}

/** A column with a validity bitmap. */
function nullable(
  data: Float64Array,
  valid: (value: number) => boolean,
  type: Int32 | Float64,
): Vector {
  const { length } = data;
  const nullBitmap = new Uint8Array(Math.ceil(length / 64) * 8);
  const clean = type instanceof Int32 ? new Int32Array(length) : new Float64Array(length);
  let nullCount = 0;
  for (let i = 0; i < length; i++) {
    if (valid(data[i])) {
      nullBitmap[i >> 3] |= 1 << (i & 7);
      clean[i] = data[i];
    } else nullCount++;
  }
  return makeVector(makeData({ type, length, nullCount, nullBitmap, data: clean } as never));
}

/**
 * @param at file name for messages
 * @throws UserError not Arrow, cut short, or not a profile
 */
export function decodeProfile(bytes: Uint8Array, at: string): ProfileTable {
  try {
    checkEnd(bytes, at);
    return readProfile(tableFromIPC(bytes), bytes.length, at);
  } catch (error) {
    if (error instanceof UserError) throw error;
    // Arrow's own messages are about its insides.
    throw damaged(at);
  }
}

function readProfile(table: Table, sizeBytes: number, at: string): ProfileTable {
  // Every row has a time of 8 bytes; a wrong count would fill memory.
  if (table.numRows * 8 > sizeBytes) throw damaged(at);
  const text = table.schema.metadata.get(metadataKey);
  if (text === undefined) {
    throw new UserError(`an Arrow table, but no profile: schema metadata lacks "${metadataKey}"`, {
      at,
    });
  }
  const info = parseWith(profileInfoSchema, parseInfo(text, at), `${at}: ${metadataKey}`);
  const length = table.numRows;
  const kind = dictionaryColumn(table, 'kind', at);
  const operator = dictionaryColumn(table, 'operator', at);
  const kindOf = kind.words.map((word) => (rowKinds as readonly string[]).indexOf(word));
  const unknown = kindOf.indexOf(-1);
  if (unknown >= 0) {
    throw new UserError(`unknown row kind "${kind.words[unknown]}"`, {
      at,
      hint: `known: ${rowKinds.join(', ')}`,
    });
  }
  const values = record(valueColumns, (name) => numberColumn(table, name, Number.NaN));
  const wrong = values.durationNs.findIndex((ns) => !(ns >= 0 && ns < Number.POSITIVE_INFINITY));
  if (wrong >= 0) {
    const came = Number.isNaN(values.durationNs[wrong]) ? 'none' : values.durationNs[wrong];
    throw new UserError(`durationNs: expected a number >= 0, got ${came}`, {
      at: `${at}: row ${wrong}`,
    });
  }
  return {
    info,
    length,
    kind: Uint8Array.from(kind.indices, (index) => kindOf[index]),
    operator: Int32Array.from(operator.indices),
    operators: operator.words,
    tp: Int32Array.from(numberColumn(table, 'tp', 1)),
    keys: record(keyColumns, (name) => numberColumn(table, name, -1)),
    values,
  };
}

function damaged(at: string): UserError {
  return new UserError('a damaged Arrow stream, expected a profile of profiler-ingest', { at });
}

/**
 * Walks the stream's messages (continuation mark, metadata length, metadata, body): a stream that
 * ends early must be an error, and the reader would take it for a shorter table.
 */
function checkEnd(bytes: Uint8Array, at: string): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 0;
  while (offset + 8 <= bytes.length) {
    if (view.getUint32(offset, true) !== 0xffffffff) {
      throw new UserError('not an Arrow stream: no message here', { at: `${at}: byte ${offset}` });
    }
    const metadataBytes = view.getInt32(offset + 4, true);
    if (metadataBytes === 0) return;
    const body = offset + 8 + metadataBytes;
    if (body > bytes.length) break;
    const next = body + bodyLength(view, offset + 8);
    if (next <= offset) throw damaged(at);
    offset = next;
  }
  throw new UserError('Arrow stream cut short: no end mark', { at: `${at}: byte ${bytes.length}` });
}

/** `bodyLength` of an Arrow Message flatbuffer (field 3 of its table, int64). */
function bodyLength(view: DataView, start: number): number {
  const root = start + view.getUint32(start, true);
  const vtable = root - view.getInt32(root, true);
  const slot = 4 + 2 * 3;
  if (slot >= view.getUint16(vtable, true)) return 0;
  const field = view.getUint16(vtable + slot, true);
  return field === 0 ? 0 : Number(view.getBigInt64(root + field, true));
}

function parseInfo(text: string, at: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UserError(`schema metadata "${metadataKey}" is not JSON`, { at });
  }
}

function dictionaryColumn(
  table: Table,
  name: string,
  at: string,
): { words: string[]; indices: number[] } {
  const vector = table.getChild(name);
  if (vector === null) throw new UserError(`column "${name}" is missing`, { at });
  if (vector.length !== table.numRows) throw damaged(at);
  const indexOf = new Map<string, number>();
  const indices: number[] = [];
  for (const word of vector as Iterable<string>) {
    const known = indexOf.get(word);
    const index = known ?? indexOf.size;
    if (known === undefined) indexOf.set(word, index);
    indices.push(index);
  }
  return { words: [...indexOf.keys()], indices };
}

function numberColumn(table: Table, name: string, missing: number): Float64Array {
  const result = new Float64Array(table.numRows).fill(missing);
  const vector = table.getChild(name);
  if (vector === null) return result;
  for (let i = 0; i < result.length; i++) {
    const value = vector.get(i) as number | bigint | null;
    if (value !== null) result[i] = Number(value);
  }
  return result;
}
