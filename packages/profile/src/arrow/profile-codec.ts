/**
 * Profile tables as Arrow IPC streams: dictionary-encoded `kind` and `operator`, `tp`, one nullable
 * column per key and measured value. The schema's metadata carries the table's info (JSON, key
 * `astrolabe.profile`) and the units in words. Same table, same bytes.
 */
import { parseWith, UserError } from '@astrolabe/base';
import {
  DataType,
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
  requiredKeys,
  rowKinds,
  valueColumns,
} from '../profile-table.js';
import { checkStream, damaged } from './check-stream.js';

const metadataKey = 'astrolabe.profile';
const units = 'durations ns, one layer on one rank, without communication; sizes bytes; power W';

/** The table as an Arrow IPC stream, its provenance in the schema's metadata. */
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
    checkStream(bytes, at);
    return readProfile(tableFromIPC(bytes), bytes.length, at);
  } catch (error) {
    if (error instanceof UserError) throw error;
    // Arrow's own messages are about its insides.
    throw damaged(at);
  }
}

const requiredInfo = Object.entries(profileInfoSchema.shape)
  .filter(([, field]) => !field.safeParse(undefined).success)
  .map(([key]) => key);

function readProfile(table: Table, sizeBytes: number, at: string): ProfileTable {
  // Every row has a time of 8 bytes; a wrong count would fill memory.
  if (table.numRows * 8 > sizeBytes) throw damaged(at);
  const text = table.schema.metadata.get(metadataKey);
  if (text === undefined) {
    throw new UserError(`an Arrow table, but no profile: schema metadata lacks "${metadataKey}"`, {
      at,
      hint: `expected JSON of ${requiredInfo.join(', ')}`,
    });
  }
  const info = parseWith(profileInfoSchema, parseInfo(text, at), `${at}: ${metadataKey}`);
  const length = table.numRows;
  const kind = dictionaryColumn(table, 'kind', at);
  const operator = dictionaryColumn(table, 'operator', at);
  const kindOf = kind.words.map((word) => (rowKinds as readonly string[]).indexOf(word));
  const unknown = kindOf.indexOf(-1);
  if (unknown >= 0) {
    throw new UserError(`unknown row kind ${JSON.stringify(kind.words[unknown])}`, {
      at,
      hint: `known: ${rowKinds.join(', ')}`,
    });
  }
  const tp = numberColumn(table, 'tp', -1, at);
  const result: ProfileTable = {
    info,
    length,
    kind: Uint8Array.from(kind.indices, (index) => kindOf[index]),
    operator: Int32Array.from(operator.indices),
    operators: operator.words,
    tp: Int32Array.from(tp),
    keys: record(keyColumns, (name) => numberColumn(table, name, -1, at)),
    values: record(valueColumns, (name) => numberColumn(table, name, Number.NaN, at)),
  };
  checkRows(result, at);
  return result;
}

/** What a row must have; a column that is missing would read as one without values. */
function checkRows({ length, kind, tp, keys, values }: ProfileTable, at: string): void {
  const keysOf = rowKinds.map((name) => requiredKeys[name]);
  for (let row = 0; row < length; row++) {
    const place = `${at}: row ${row}`;
    if (tp[row] < 1) throw new UserError('tp: expected an integer >= 1', { at: place });
    if (Number.isNaN(values.durationNs[row])) throw missing('durationNs', place);
    const lacks = keysOf[kind[row]].find((name) => keys[name][row] < 0);
    if (lacks !== undefined) throw missing(lacks, place);
  }
}

function missing(column: string, at: string): UserError {
  return new UserError(`${column}: expected a number >= 0, got none`, { at });
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
  for (const word of vector as Iterable<unknown>) {
    if (typeof word !== 'string') {
      throw new UserError(`${name}: expected a text, got ${word}`, {
        at: `${at}: row ${indices.length}`,
      });
    }
    const known = indexOf.get(word);
    const index = known ?? indexOf.size;
    if (known === undefined) indexOf.set(word, index);
    indices.push(index);
  }
  return { words: [...indexOf.keys()], indices };
}

/** @param missing what stands for null */
function numberColumn(table: Table, name: string, missing: number, at: string): Float64Array {
  const result = new Float64Array(table.numRows).fill(missing);
  const vector = table.getChild(name);
  if (vector === null) return result;
  const { type } = vector;
  if (!DataType.isInt(type) && !DataType.isFloat(type)) {
    throw new UserError(`column "${name}": expected numbers, got ${type}`, { at });
  }
  for (let row = 0; row < result.length; row++) {
    const value = vector.get(row) as number | bigint | null | undefined;
    if (value === undefined) throw damaged(at);
    if (value === null || Number.isNaN(value)) continue;
    result[row] = Number(value);
    if (!(result[row] >= 0 && result[row] < Number.POSITIVE_INFINITY)) {
      throw new UserError(`${name}: expected a number >= 0, got ${value}`, {
        at: `${at}: row ${row}`,
      });
    }
  }
  return result;
}
