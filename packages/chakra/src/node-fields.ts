/** Node fields that have no column, decoded on demand: start time and IOInfo. */
import protobuf, {
  type Reader as ProtobufReader,
  type Writer as ProtobufWriter,
} from 'protobufjs/minimal.js';
import { checkEnd, fromLong, type LongLike, toLong } from './attribute.js';
import type { ExecutionGraph } from './graph.js';

export interface IoInfo {
  readonly values: string;
  readonly shapes: string;
  readonly types: string;
}

export interface NodeFields {
  /** Bigint beyond 2^53. */
  readonly startTimeMicros?: number | bigint | undefined;
  readonly inputs?: IoInfo | undefined;
  readonly outputs?: IoInfo | undefined;
}

/** Present fields of the node; unknown ones are left out. */
export function nodeFields(graph: ExecutionGraph, node: number): NodeFields {
  const bytes = graph.fields?.get(node);
  return bytes === undefined ? {} : readNodeFields(bytes);
}

/** The fields in their wire bytes. @throws Error when they are malformed */
export function readNodeFields(bytes: Uint8Array): NodeFields {
  const result: { startTimeMicros?: number | bigint; inputs?: IoInfo; outputs?: IoInfo } = {};
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.tag();
    if (tag === 0x30) {
      result.startTimeMicros = fromLong(reader.uint64() as unknown as LongLike);
    } else if (tag === 0x42) result.inputs = readIoInfo(reader);
    else if (tag === 0x4a) result.outputs = readIoInfo(reader);
    else reader.skipType(tag & 7, 0, tag >>> 3);
  }
  return result;
}

/** The wire bytes of the fields, for `GraphBuilder.addFields`. */
export function writeNodeFields({ startTimeMicros, inputs, outputs }: NodeFields): Uint8Array {
  const writer = protobuf.Writer.create();
  if (startTimeMicros !== undefined) writer.uint32(0x30).uint64(toLong(startTimeMicros) as never);
  if (inputs !== undefined) writeIoInfo(writer.uint32(0x42), inputs);
  if (outputs !== undefined) writeIoInfo(writer.uint32(0x4a), outputs);
  return writer.finish();
}

function writeIoInfo(writer: ProtobufWriter, { values, shapes, types }: IoInfo): void {
  writer.fork();
  if (values !== '') writer.uint32(0x0a).string(values);
  if (shapes !== '') writer.uint32(0x12).string(shapes);
  if (types !== '') writer.uint32(0x1a).string(types);
  writer.ldelim();
}

function readIoInfo(reader: ProtobufReader): IoInfo {
  const end = reader.uint32() + reader.pos;
  const info = { values: '', shapes: '', types: '' };
  while (reader.pos < end) {
    const tag = reader.tag();
    if (tag === 0x0a) info.values = reader.string();
    else if (tag === 0x12) info.shapes = reader.string();
    else if (tag === 0x1a) info.types = reader.string();
    else reader.skipType(tag & 7, 0, tag >>> 3);
  }
  checkEnd(reader, end);
  return info;
}
