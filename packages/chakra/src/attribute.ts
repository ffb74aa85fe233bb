/**
 * AttributeProto (name 1, doc_string 2, a oneof of 30 value kinds): reading and writing attributes
 * that have no column. Attributes from a file keep their bytes beside their value.
 */
import { assert } from '@astrolabe/base';
import protobuf, {
  type Reader as ProtobufReader,
  type Writer as ProtobufWriter,
} from 'protobufjs/minimal.js';
import type { Attribute } from './graph.js';

const { Reader } = protobuf;

/** Scalar kinds by field number 3, 5, ... 31; the list form of each is the even number above. */
const scalars = [
  'double',
  'float',
  'int32',
  'int64',
  'uint32',
  'uint64',
  'sint32',
  'sint64',
  'fixed32',
  'fixed64',
  'sfixed32',
  'sfixed64',
  'bool',
  'string',
  'bytes',
] as const;
type Scalar = (typeof scalars)[number];

const wireTypeOf: Record<Scalar, number> = {
  double: 1,
  float: 5,
  int32: 0,
  int64: 0,
  uint32: 0,
  uint64: 0,
  sint32: 0,
  sint64: 0,
  fixed32: 5,
  fixed64: 1,
  sfixed32: 5,
  sfixed64: 1,
  bool: 0,
  string: 2,
  bytes: 2,
};

/** Kind of an attribute that carries no value. */
const noKind = 'none';

/** `kindOfField[field]` is the oneof member's name, `tagOfField[field]` its tag (field and type). */
const kindOfField: readonly string[] = ['', '', ''].concat(
  scalars.flatMap((scalar) => [`${scalar}_val`, `${scalar}_list`]),
);
const scalarOfField: readonly (Scalar | undefined)[] = [
  undefined,
  undefined,
  undefined,
  ...scalars.flatMap((scalar) => [scalar, scalar]),
];
export const tagOfField = new Int32Array(33);
for (let field = 3; field <= 32; field++) {
  const scalar = scalarOfField[field]!;
  tagOfField[field] = (field << 3) | (field % 2 === 0 ? 2 : wireTypeOf[scalar]);
}
const fieldOfKind = new Map(kindOfField.map((kind, field) => [kind, field]));

export function isAttributeKind(kind: string): boolean {
  return kind === noKind || (fieldOfKind.get(kind) ?? 0) >= 3;
}

/** Reads an AttributeProto from a copy of its bytes. @throws Error when they are malformed. */
export function readAttribute(raw: Uint8Array): Attribute {
  const reader = Reader.create(raw);
  let name = '';
  let doc: string | undefined;
  let kind = noKind;
  let value: Attribute['value'];
  while (reader.pos < reader.len) {
    const tag = reader.tag();
    const field = tag >>> 3;
    if (tag === 0x0a) name = reader.string();
    else if (tag === 0x12) doc = reader.string();
    else if (field >= 3 && field <= 32 && tag === tagOfField[field]) {
      kind = kindOfField[field];
      value = readValue(reader, field);
    } else reader.skipType(tag & 7, 0, field);
  }
  const attribute = { name, kind, value, raw };
  return doc === undefined ? attribute : { ...attribute, doc };
}

function readValue(reader: ProtobufReader, field: number): Attribute['value'] {
  const scalar = scalarOfField[field]!;
  if (field % 2 === 1) return readScalar(reader, scalar);
  const end = reader.uint32() + reader.pos;
  const list: unknown[] = [];
  while (reader.pos < end) {
    const tag = reader.tag();
    if (tag >>> 3 !== 1) reader.skipType(tag & 7, 0, tag >>> 3);
    else if ((tag & 7) === 2 && wireTypeOf[scalar] !== 2) {
      const packedEnd = reader.uint32() + reader.pos;
      while (reader.pos < packedEnd) list.push(readScalar(reader, scalar));
      checkEnd(reader, packedEnd);
    } else list.push(readScalar(reader, scalar));
  }
  checkEnd(reader, end);
  return list;
}

/** Nested lengths must agree. */
export function checkEnd(reader: ProtobufReader, end: number): void {
  if (reader.pos !== end) throw new Error('a value runs past the end of its message');
}

function readScalar(
  reader: ProtobufReader,
  scalar: Scalar,
): Exclude<Attribute['value'], undefined> {
  switch (scalar) {
    case 'int64':
    case 'sint64':
    case 'sfixed64':
    case 'uint64':
    case 'fixed64':
      return fromLong(reader[scalar]() as unknown as LongLike);
    case 'bytes':
      return reader.bytes().slice();
    default:
      return reader[scalar]();
  }
}

/** What protobufjs returns for 64 bits: a `Long`, or a number where that library is missing. */
export type LongLike =
  | number
  | { readonly low: number; readonly high: number; readonly unsigned: boolean };

/** A number where it is exact, else a bigint. */
export function fromLong(long: LongLike): number | bigint {
  if (typeof long === 'number') return long;
  const high = long.unsigned ? long.high >>> 0 : long.high;
  const value = high * 2 ** 32 + (long.low >>> 0);
  if (Number.isSafeInteger(value)) return value;
  return (BigInt(high) << 32n) | BigInt(long.low >>> 0);
}

export function toLong(value: unknown): number | { low: number; high: number; unsigned: boolean } {
  if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
  const bits = BigInt.asUintN(64, value as bigint);
  return { low: Number(bits & 0xffffffffn), high: Number(bits >> 32n), unsigned: true };
}

/** Writes the AttributeProto without its length: as read, or from name, doc, kind and value. */
export function writeAttribute(writer: ProtobufWriter, attribute: Attribute): void {
  if (attribute.raw !== undefined) {
    writer.raw(attribute.raw);
    return;
  }
  if (attribute.name !== '') writer.uint32(0x0a).string(attribute.name);
  if (attribute.doc !== undefined) writer.uint32(0x12).string(attribute.doc);
  const { kind, value } = attribute;
  if (kind === noKind) return;
  const field = fieldOfKind.get(kind);
  assert(field !== undefined && field >= 3, () => `unknown attribute kind "${kind}"`);
  writer.uint32(tagOfField[field]);
  const scalar = scalarOfField[field]!;
  if (field % 2 === 1) {
    writeScalar(writer, scalar, value);
    return;
  }
  const items = value as readonly unknown[];
  writer.fork();
  if (wireTypeOf[scalar] === 2) {
    for (const item of items) writeScalar(writer.uint32(0x0a), scalar, item);
  } else if (items.length > 0) {
    writer.uint32(0x0a).fork();
    for (const item of items) writeScalar(writer, scalar, item);
    writer.ldelim();
  }
  writer.ldelim();
}

function writeScalar(writer: ProtobufWriter, scalar: Scalar, value: unknown): void {
  switch (scalar) {
    case 'int64':
    case 'sint64':
    case 'sfixed64':
    case 'uint64':
    case 'fixed64':
      writer[scalar](toLong(value) as never);
      return;
    case 'bool':
      writer.bool(Boolean(value));
      return;
    case 'string':
      writer.string(String(value));
      return;
    case 'bytes':
      writer.bytes(value as Uint8Array);
      return;
    default:
      writer[scalar](Number(value));
  }
}
