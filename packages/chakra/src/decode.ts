/**
 * Bytes of .et files and graph streams to execution graphs. Framing: varint(length) message, again
 * and again; the first message is a GlobalMetadata, the others are Nodes. A new graph begins at each
 * GlobalMetadata, told by how it begins (`beginsMetadata`), as no Node does; the first message of an
 * input is metadata whatever it begins with. Chunks may be cut anywhere.
 */
import { UserError } from '@astrolabe/base';
import protobuf, { type Reader as ProtobufReader } from 'protobufjs/minimal.js';
import { readAttribute } from './attribute.js';
import { NodeDecoder, WireError } from './decode-node.js';
import type { Dialect } from './dialect.js';
import type { Attribute, ExecutionGraph, GraphMetadata } from './graph.js';
import { GraphBuilder } from './graph-builder.js';
import { readStreamMetadata, type StreamMetadata } from './stream-metadata.js';
import { StringTable } from './string-table.js';

export interface DecodeOptions {
  /** Default `upstream`. */
  readonly dialect?: Dialect;
  /** Name of the input in errors. */
  readonly at?: string;
  /** Limit on one message, checked before it is buffered. Default 64 MiB. */
  readonly maxMessageBytes?: number;
  /** Take durations from duration_micros even where exact ns are given, as ASTRA-sim does. */
  readonly ignoreDurationNs?: boolean;
  /** Nodes to make room for at once. */
  readonly expectedNodes?: number;
}

const defaultMaxMessageBytes = 64 * 2 ** 20;
/** A length prefix has at most 5 bytes. */
const maxPrefixBytes = 5;
/** Start a new string table beyond this, so that names unique to a node do not pile up. */
const maxStrings = 1 << 16;

/**
 * Push parser. `push` returns the graphs that became complete: at once with the last of `node_count`
 * nodes, a clock request with its metadata, else at the next metadata or `end`.
 */
export class GraphStreamDecoder {
  private readonly at: string;
  private readonly maxMessageBytes: number;
  private readonly options: { readonly dialect: Dialect; readonly ignoreDurationNs: boolean };
  private readonly reader: ProtobufReader;
  private builder: GraphBuilder;
  private nodes: NodeDecoder;
  private done: ExecutionGraph[] = [];
  /** Bytes of the incomplete message at the end of the last chunk, prefix included. */
  private tail = new Uint8Array(1024);
  private tailLength = 0;
  /** Offset in the input of the message being read. */
  private offset = 0;
  private metadata: GraphMetadata | undefined;
  private fields: StreamMetadata = {};
  private graphIndex = -1;
  /** Node being read, or the next one, for errors. */
  private nodeIndex = 0;

  constructor(options: DecodeOptions = {}) {
    this.at = options.at ?? 'graph stream';
    this.maxMessageBytes = options.maxMessageBytes ?? defaultMaxMessageBytes;
    this.options = {
      dialect: options.dialect ?? 'upstream',
      ignoreDurationNs: options.ignoreDurationNs ?? false,
    };
    this.builder = new GraphBuilder(options.expectedNodes ?? 64);
    this.reader = new protobuf.Reader(new Uint8Array(0));
    this.nodes = new NodeDecoder(this.builder, this.reader, this.options);
  }

  /**
   * @param chunk may be reused by the caller afterwards
   * @throws UserError naming graph, node and byte when the bytes are no Chakra trace
   */
  push(chunk: Uint8Array): ExecutionGraph[] {
    // A Buffer's slice() would share memory, and one type of array keeps the reader fast.
    const bytes =
      chunk.constructor === Uint8Array
        ? chunk
        : new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.offset === 0 && this.tailLength === 0 && this.graphIndex < 0) this.refuseJson(bytes);
    let pos = this.finishTail(bytes);
    while (pos < bytes.length) {
      const prefix = this.readPrefix(bytes, pos, bytes.length);
      if (prefix === 0 || pos + prefix + this.length > bytes.length) break;
      this.message(bytes, pos + prefix, pos + prefix + this.length);
      this.offset += prefix + this.length;
      pos += prefix + this.length;
    }
    if (pos < bytes.length) this.keep(bytes, pos, bytes.length);
    const done = this.done;
    this.done = [];
    return done;
  }

  /** Call at the end of input. @throws UserError when it ends within a message or a graph */
  end(): ExecutionGraph[] {
    if (this.tailLength > 0) {
      const prefix = this.readPrefix(this.tail, 0, this.tailLength);
      const had = this.tailLength - prefix;
      this.fail(
        prefix === 0
          ? 'input ends within a length prefix'
          : `input ends within a message: ${had} of ${this.length} bytes`,
      );
    }
    this.closeGraph();
    const done = this.done;
    this.done = [];
    return done;
  }

  /** Length of the message whose prefix was last read. */
  private length = 0;

  /** Reads a length prefix into `length`. @returns its bytes, 0 if it is not complete */
  private readPrefix(bytes: Uint8Array, start: number, end: number): number {
    let value = 0;
    let factor = 1;
    for (let i = start; i < end; i++) {
      const byte = bytes[i];
      value += (byte & 127) * factor;
      if (byte < 128) {
        if (value > this.maxMessageBytes) {
          this.fail(`message of ${value} bytes is over the limit of ${this.maxMessageBytes}`);
        }
        this.length = value;
        return i + 1 - start;
      }
      if (i + 1 - start === maxPrefixBytes) this.fail('not a length prefix: more than 5 bytes');
      factor *= 128;
    }
    return 0;
  }

  /** Completes the message kept from earlier chunks. @returns the position after it in `bytes` */
  private finishTail(bytes: Uint8Array): number {
    let pos = 0;
    while (this.tailLength > 0 && pos < bytes.length) {
      const prefix = this.readPrefix(this.tail, 0, this.tailLength);
      const missing = prefix === 0 ? 1 : prefix + this.length - this.tailLength;
      const end = Math.min(pos + missing, bytes.length);
      this.keep(bytes, pos, end);
      pos = end;
      const got = this.readPrefix(this.tail, 0, this.tailLength);
      const size = got + this.length;
      if (got === 0 || size > this.tailLength) continue;
      this.tailLength = 0;
      this.message(this.tail, got, size);
      this.offset += size;
    }
    return pos;
  }

  private keep(bytes: Uint8Array, start: number, end: number): void {
    const needed = this.tailLength + end - start;
    if (needed > this.tail.length) {
      const grown = new Uint8Array(Math.max(needed, this.tail.length * 2));
      grown.set(this.tail.subarray(0, this.tailLength));
      this.tail = grown;
    }
    this.tail.set(bytes.subarray(start, end), this.tailLength);
    this.tailLength = needed;
  }

  private message(bytes: Uint8Array, start: number, end: number): void {
    const isMetadata = this.graphIndex < 0 || beginsMetadata(bytes, start, end);
    if (isMetadata) this.closeGraph();
    else if (this.metadata === undefined) {
      this.fail(
        this.fields.nodeCount === undefined
          ? 'node in a clock request (metadata with advance_ns)'
          : `node beyond the ${this.fields.nodeCount} nodes that the metadata announces`,
      );
    }
    this.nodeIndex = this.builder.nodeCount;
    this.reader.buf = bytes;
    this.reader.pos = start;
    this.reader.len = end;
    try {
      if (isMetadata) this.openGraph(end);
      else this.nodes.decode(end);
    } catch (error) {
      if (error instanceof UserError) throw error;
      const known = error instanceof WireError;
      const reason = (error as Error).message.replace(/^illegal/, 'invalid');
      this.fail(known ? reason : `not a Chakra ${isMetadata ? 'metadata' : 'node'}: ${reason}`);
    }
    this.nodeIndex = this.builder.nodeCount;
    if (this.nodeIndex === this.expectedNodes()) this.closeGraph();
  }

  private openGraph(end: number): void {
    this.graphIndex++;
    this.fields = {};
    if (this.builder.strings.strings.length > maxStrings) {
      this.builder = new GraphBuilder(64, new StringTable());
      this.nodes = new NodeDecoder(this.builder, this.reader, this.options);
    }
    this.metadata = decodeMetadata(this.reader, end);
    this.fields = readStreamMetadata(this.metadata, this.place());
  }

  /** A clock request has no nodes whether it says so or not: its writer waits for the answer. */
  private expectedNodes(): number | undefined {
    const { nodeCount, advanceNs } = this.fields;
    return nodeCount ?? (advanceNs === undefined ? undefined : 0);
  }

  private closeGraph(): void {
    if (this.metadata === undefined) return;
    const { nodeCount } = this.fields;
    if (nodeCount !== undefined && nodeCount !== this.builder.nodeCount) {
      this.fail(`graph ends after ${this.builder.nodeCount} of ${nodeCount} nodes`);
    }
    this.done.push(this.builder.finish(this.metadata));
    this.metadata = undefined;
    this.builder.reset();
  }

  private place(): string {
    const graph = this.graphIndex < 0 ? 'metadata' : `graph ${this.graphIndex}`;
    const node = this.metadata === undefined ? '' : `, node ${this.nodeIndex}`;
    return `${this.at}: ${graph}${node}, byte ${this.offset}`;
  }

  private fail(message: string): never {
    const at = this.place();
    // Deeper in, it is a Chakra trace that is damaged.
    const isForeign = this.graphIndex <= 0 && this.builder.nodeCount === 0;
    throw new UserError(message, isForeign ? { at, hint: expectedFormat } : { at });
  }

  /** Chakra names two things a trace; the JSON that PyTorch writes is the one before conversion. */
  private refuseJson(bytes: Uint8Array): void {
    const text = new TextDecoder().decode(bytes.subarray(0, 512));
    if (!jsonStart.test(text)) return;
    const schema = /"schema"\s*:\s*"([\w.-]+)"/.exec(text)?.[1];
    const isKineto = /"(schemaVersion|traceEvents|deviceProperties)"/.test(text);
    if (schema !== undefined || isKineto) {
      const what = isKineto ? 'a Kineto trace' : 'a PyTorch execution trace';
      throw new UserError(`${what} in JSON${isKineto ? '' : ` (schema ${schema})`}`, {
        at: this.at,
        hint: 'make it a Chakra trace with chakra_trace_link and chakra_converter (mlcommons/chakra)',
      });
    }
    throw new UserError('JSON, not a Chakra trace', { at: this.at, hint: expectedFormat });
  }
}

const expectedFormat =
  'expected a Chakra execution trace (.et): protobuf messages, each behind its length';

/** No metadata begins so: its first bytes are a length and the tag of a field. */
const jsonStart = /^[[{]\s*["{[\]}]/;

/**
 * A node's first field is its id, or its name (0x12) where the id is 0. A metadata message's is its
 * version (0x0a), or its attributes (also 0x12) where it has none: then there are several, as no
 * node has names.
 */
function beginsMetadata(bytes: Uint8Array, start: number, end: number): boolean {
  if (end <= start) return false;
  if (bytes[start] === 0x0a) return true;
  if (bytes[start] !== 0x12) return false;
  let length = 0;
  let pos = start + 1;
  for (let factor = 1; pos < end; factor *= 128) {
    const byte = bytes[pos++];
    length += (byte & 127) * factor;
    if (byte < 128) break;
  }
  return pos + length < end && bytes[pos + length] === 0x12;
}

/** The GlobalMetadata in `[reader.pos, end)`. */
function decodeMetadata(reader: ProtobufReader, end: number): GraphMetadata {
  let version = '';
  const attributes: Attribute[] = [];
  const others: Uint8Array[] = [];
  while (reader.pos < end) {
    const start = reader.pos;
    const tag = reader.tag();
    if (tag === 0x0a) version = reader.string();
    else if (tag === 0x12) attributes.push(readAttribute(reader.bytes().slice()));
    else {
      reader.skipType(tag & 7, 0, tag >>> 3);
      others.push(reader.buf.slice(start, reader.pos));
    }
  }
  return others.length === 0 ? { version, attributes } : { version, attributes, fields: others };
}

/** All graphs in `bytes`. @throws UserError as `GraphStreamDecoder` */
export function decodeGraphs(bytes: Uint8Array, options: DecodeOptions = {}): ExecutionGraph[] {
  const expectedNodes = Math.min(bytes.length >> 6, 1 << 16) + 1;
  const decoder = new GraphStreamDecoder({ expectedNodes, ...options });
  const graphs = decoder.push(bytes);
  for (const graph of decoder.end()) graphs.push(graph);
  return graphs;
}

/** The one graph of an .et file. @throws UserError also when there are none or several */
export function decodeGraph(bytes: Uint8Array, options: DecodeOptions = {}): ExecutionGraph {
  const graphs = decodeGraphs(bytes, options);
  if (graphs.length !== 1) {
    const what = bytes.length === 0 ? 'empty file' : `${graphs.length} graphs`;
    throw new UserError(`${what}, expected one Chakra graph`, { at: options.at ?? 'graph' });
  }
  return graphs[0];
}

/** Graphs of a stream as they become complete. */
export async function* readGraphs(
  input: AsyncIterable<Uint8Array>,
  options: DecodeOptions = {},
): AsyncGenerator<ExecutionGraph> {
  const decoder = new GraphStreamDecoder(options);
  for await (const chunk of input) yield* decoder.push(chunk);
  yield* decoder.end();
}
