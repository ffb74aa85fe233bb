/**
 * One Node message to one row of a GraphBuilder. Hand-written over protobufjs' Reader because its
 * generated decoder spends 3 us on a node's attributes; this takes about 0.1 us.
 *
 * An attribute goes to its column when its kind converts as in ASTRA-sim's feeder v3 (any integer or
 * bool kind to any other) and its value fits; the first of a name counts. All others (wrong kind,
 * second of a name, unknown name) go to `extra` with their bytes. A reader that wants to know of
 * "present but of a kind that cannot be read" looks there: see `misfit.ts`.
 */
import type { Reader as ProtobufReader } from 'protobufjs/minimal.js';
import { fromLong, type LongLike, readAttribute, tagOfField } from './attribute.js';
import { type Dialect, maxWireType, nodeTypeTables } from './dialect.js';
import { Attr } from './graph.js';
import type { GraphBuilder } from './graph-builder.js';
import { KeptPieces } from './kept-pieces.js';
import { attributePrefixes, Known, knownAttributes, knownCode } from './known-attributes.js';
import { readNodeFields } from './node-fields.js';
import { NodeType } from './node-type.js';

/** Something in a message is not as the format wants it; the caller adds the place. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

interface NodeDecoderOptions {
  readonly dialect: Dialect;
  /** Leave `duration_ns` in `extra` and take the duration from duration_micros, as ASTRA-sim does. */
  readonly ignoreDurationNs: boolean;
}

/** Tags of the value kinds that convert to an integer: odd fields 7 to 27. */
const integerKinds = new Uint8Array(33);
for (let field = 7; field <= 27; field += 2) integerKinds[field] = 1;
const boolListField = 28;
const stringField = 29;

/** @throws Error when they are malformed */
function checkedFields(bytes: Uint8Array): Uint8Array {
  readNodeFields(bytes);
  return bytes;
}

export class NodeDecoder {
  private readonly builder: GraphBuilder;
  private readonly reader: ProtobufReader;
  private readonly readType: Uint8Array;
  private readonly nsPerDuration: number;
  private readonly ignoreDurationNs: boolean;
  private readonly attributes = new KeptPieces(readAttribute);
  private readonly fields = new KeptPieces(checkedFields);
  // Of the node being read.
  private seen = 0;
  private isPim = false;
  private hasDurationNs = false;
  private lastCode = -1;
  /** Attribute that came next the last time, by node type and attribute before it; -1 = none. */
  private readonly follower = new Int8Array(256 * 32).fill(-1);

  /** @param reader its `buf`, `pos` and `len` are set for each message by the caller. */
  constructor(builder: GraphBuilder, reader: ProtobufReader, options: NodeDecoderOptions) {
    this.builder = builder;
    this.reader = reader;
    this.readType = nodeTypeTables[options.dialect].read;
    this.nsPerDuration = options.dialect === 'upstream' ? 1000 : 1;
    this.ignoreDurationNs = options.ignoreDurationNs;
  }

  /** Adds the node in `[reader.pos, end)`. @throws WireError, or protobufjs' errors. */
  decode(end: number): void {
    const { builder, reader } = this;
    const node = builder.addNode(NodeType.invalid, 0);
    const columns = builder.columns;
    columns.id[node] = 0;
    this.seen = 0;
    this.isPim = false;
    this.hasDurationNs = false;
    this.lastCode = -1;
    while (reader.pos < end) {
      const start = reader.pos;
      const tag = reader.buf[start] < 128 ? reader.buf[reader.pos++] : reader.tag();
      switch (tag) {
        case 0x08:
          columns.id[node] = readCount(reader, 'id');
          break;
        case 0x12: {
          const length = reader.uint32();
          const at = this.take(length, end);
          columns.name[node] = builder.strings.internBytes(reader.buf, at, at + length);
          break;
        }
        case 0x18:
          columns.type[node] = this.nodeType(reader.uint32());
          break;
        case 0x22:
        case 0x2a:
          this.packedDeps(node, tag === 0x22, end);
          break;
        case 0x20:
        case 0x28:
          this.addDep(node, tag === 0x20);
          break;
        case 0x38: {
          const durationNs = this.duration();
          if (!this.hasDurationNs) columns.durationNs[node] = durationNs;
          break;
        }
        case 0x52: {
          const length = reader.uint32();
          const at = this.take(length, end);
          if (!this.expectedAttribute(node, at, at + length)) {
            this.attribute(node, at, at + length);
          }
          break;
        }
        default:
          this.otherField(node, tag, start);
      }
    }
    if (reader.pos !== end) throw new WireError('a field runs past the end of its message');
    if (this.isPim && columns.type[node] === NodeType.comp) columns.type[node] = NodeType.pimComp;
  }

  /** Moves over `length` bytes. @returns where they began */
  private take(length: number, end: number): number {
    const at = this.reader.pos;
    if (at + length > end) throw new WireError('a field runs past the end of its message');
    this.reader.pos = at + length;
    return at;
  }

  private nodeType(wire: number): number {
    if (wire > maxWireType) throw new WireError(`node type ${wire} is beyond ${maxWireType}`);
    return this.readType[wire];
  }

  private duration(): number {
    const durationNs = readCount(this.reader, 'duration_micros') * this.nsPerDuration;
    if (durationNs > Number.MAX_SAFE_INTEGER) throw new WireError('duration beyond 2^53 ns');
    return durationNs;
  }

  /** A field without a column; read once so that a malformed one is refused here. */
  private otherField(node: number, tag: number, start: number): void {
    const { reader } = this;
    reader.skipType(tag & 7, 0, tag >>> 3);
    this.builder.addFields(node, this.fields.get(reader.buf, start, reader.pos));
  }

  private packedDeps(node: number, isCtrl: boolean, end: number): void {
    const { reader } = this;
    const length = reader.uint32();
    const depsEnd = this.take(length, end) + length;
    reader.pos -= length;
    while (reader.pos < depsEnd) this.addDep(node, isCtrl);
  }

  private addDep(node: number, isCtrl: boolean): void {
    if (isCtrl) this.builder.addCtrlDepId(node, readCount(this.reader, 'ctrl_deps'));
    else this.builder.addDepId(node, readCount(this.reader, 'data_deps'));
  }

  /**
   * Tries the attribute that followed last time in the form we write it: one comparison instead of
   * taking it apart. Leaves the reader at `end` if that works.
   */
  private expectedAttribute(node: number, start: number, end: number): boolean {
    const code = this.follower[(this.builder.columns.type[node] << 5) + this.lastCode + 1];
    if (code < 0 || (this.seen & (1 << code)) !== 0) return false;
    const { reader } = this;
    const { buf } = reader;
    const prefix = attributePrefixes[code];
    const { length } = prefix;
    const valueAt = start + length;
    if (valueAt >= end) return false;
    for (let i = 1; i < length; i++) if (buf[start + i] !== prefix[i]) return false;
    // Nothing may follow the value.
    let last = valueAt;
    if (code === Known.pgName || code === Known.involvedDim) last += buf[valueAt];
    else while (last < end && buf[last] > 127) last++;
    if (last + 1 !== end) return false;
    reader.pos = valueAt;
    if (!this.toColumn(node, code, knownAttributes[code].field)) return false;
    reader.pos = end;
    this.seen |= 1 << code;
    this.lastCode = code;
    return true;
  }

  /** The attribute in `[start, end)`; leaves the reader at `end`. */
  private attribute(node: number, start: number, end: number): void {
    const { reader } = this;
    const buf = reader.buf;
    let code = -1;
    let field = 0;
    let valueAt = 0;
    let pos = start;
    while (pos < end) {
      let tag = buf[pos++];
      if (tag > 127) {
        reader.pos = pos - 1;
        tag = reader.tag();
        pos = reader.pos;
      }
      if (tag === 0x0a && buf[pos] < 128) {
        const nameEnd = pos + 1 + buf[pos];
        if (nameEnd > end) break;
        code = knownCode(buf, pos + 1, nameEnd);
        pos = nameEnd;
        continue;
      }
      if (tag === 0x0a) code = -1;
      else if (tag >>> 3 <= 32 && tag === tagOfField[tag >>> 3]) {
        field = tag >>> 3;
        valueAt = pos;
      }
      if ((tag & 7) === 0) while (buf[pos++] > 127);
      else {
        reader.pos = pos;
        reader.skipType(tag & 7, 0, tag >>> 3);
        pos = reader.pos;
      }
    }
    if (pos !== end) throw new WireError('an attribute runs past the end of its message');
    this.follower[(this.builder.columns.type[node] << 5) + this.lastCode + 1] = code;
    this.lastCode = code;
    const bit = code < 0 ? 0 : 1 << code;
    const isFirst = (this.seen & bit) === 0 && field !== 0;
    this.seen |= bit;
    reader.pos = valueAt;
    if (bit === 0 || !isFirst || !this.toColumn(node, code, field)) {
      this.builder.addExtra(node, this.attributes.get(buf, start, end));
    }
    reader.pos = end;
  }

  /** Reads the value at the reader into its column. @returns false if its kind does not convert */
  private toColumn(node: number, code: number, field: number): boolean {
    if (code === Known.pgName) return this.group(node, field);
    if (code === Known.involvedDim) return this.involvedDims(node, field);
    if (integerKinds[field] === 0) return false;
    if (code === Known.durationNs && this.ignoreDurationNs) return false;
    const known = knownAttributes[code];
    const value = readIntegerKind(this.reader, field, known.name);
    if (value < known.min || value > known.max) return false;
    const columns = this.builder.columns;
    columns.present[node] |= known.bit;
    switch (code) {
      case Known.isCpuOp:
        columns.isCpuOp[node] = value === 0 ? 0 : 1;
        break;
      case Known.numOps:
        columns.numOps[node] = value;
        break;
      case Known.tensorSize:
        columns.tensorSizeBytes[node] = value;
        break;
      case Known.commType:
        columns.commType[node] = value;
        break;
      case Known.commSize:
        columns.commSizeBytes[node] = value;
        break;
      case Known.commSrc:
        columns.commSrc[node] = value;
        break;
      case Known.commDst:
        columns.commDst[node] = value;
        break;
      case Known.commTag:
        columns.commTag[node] = value;
        break;
      case Known.commPriority:
        columns.commPriority[node] = value;
        break;
      case Known.tensorLoc:
        columns.tensorLoc[node] = value;
        break;
      case Known.tensorDevice:
        columns.tensorDevice[node] = value;
        break;
      case Known.tensorChannel:
        columns.tensorChannel[node] = value;
        break;
      case Known.durationNs:
        columns.durationNs[node] = value;
        this.hasDurationNs = true;
        break;
      default:
        this.isPim = value !== 0;
    }
    return true;
  }

  private group(node: number, field: number): boolean {
    if (field !== stringField) return false;
    const { reader, builder } = this;
    const length = reader.uint32();
    const at = reader.pos;
    reader.pos += length;
    if (reader.pos > reader.len) return false;
    const name = builder.strings.internBytes(reader.buf, at, reader.pos);
    builder.columns.pgName[node] = name;
    builder.columns.present[node] |= Attr.pgName;
    return true;
  }

  private involvedDims(node: number, field: number): boolean {
    if (field !== boolListField) return false;
    const { reader } = this;
    const end = reader.uint32() + reader.pos;
    let count = 0;
    let bits = 0;
    while (reader.pos < end) {
      const tag = reader.tag();
      if (tag === 0x0a || tag === 0x08) {
        const listEnd = tag === 0x0a ? reader.uint32() + reader.pos : reader.pos + 1;
        while (reader.pos < listEnd && count <= 31) {
          if (reader.bool() && count < 31) bits |= 1 << count;
          count++;
        }
        if (count > 31) return false;
      } else reader.skipType(tag & 7, 0, tag >>> 3);
    }
    this.builder.setInvolvedDims(node, bits, count);
    return true;
  }
}

/** A value of field `field` (an integer or bool kind). @throws WireError beyond 2^53 */
function readIntegerKind(reader: ProtobufReader, field: number, name: string): number {
  switch (field) {
    case 7:
      return reader.int32();
    case 9:
      return readInteger(reader, true, name);
    case 11:
      return reader.uint32();
    case 13:
      return readInteger(reader, false, name);
    case 15:
      return reader.sint32();
    case 19:
      return reader.fixed32();
    case 23:
      return reader.sfixed32();
    case 27:
      return reader.bool() ? 1 : 0;
    default: {
      const long = field === 17 ? reader.sint64() : field === 21 ? reader.fixed64() : undefined;
      return safe((long ?? reader.sfixed64()) as unknown as LongLike, name);
    }
  }
}

function readCount(reader: ProtobufReader, name: string): number {
  return readInteger(reader, false, name);
}

/** A 64-bit varint. @throws WireError beyond 2^53 */
function readInteger(reader: ProtobufReader, signed: boolean, name: string): number {
  const { buf, len } = reader;
  const start = reader.pos;
  let pos = start;
  let byte = buf[pos++];
  if (byte < 128 && pos <= len) {
    reader.pos = pos;
    return byte;
  }
  let value = byte & 127;
  let factor = 128;
  // Seven bytes hold 49 bits, exact in a double.
  while (pos < len && pos - start < 7) {
    byte = buf[pos++];
    value += (byte & 127) * factor;
    if (byte < 128) {
      reader.pos = pos;
      return value;
    }
    factor *= 128;
  }
  return safe((signed ? reader.int64() : reader.uint64()) as unknown as LongLike, name);
}

function safe(long: LongLike, name: string): number {
  const value = fromLong(long);
  if (typeof value === 'bigint') throw new WireError(`${name} ${value} is beyond 2^53`);
  return value;
}
