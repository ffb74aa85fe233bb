/**
 * Looks on while bytes go from one stage to the next: that they are framed as they must be, and how
 * many clock requests have passed, which tells which stage owes an answer. Nothing is decoded.
 */
import { UserError } from '@astrolabe/base';
import { LineSplitter } from './line-splitter.js';

export interface RelayWatcher {
  /** Clock requests that have passed whole. */
  readonly numAdvances: number;
  /** @throws UserError the place, when the bytes cannot be what they should be */
  push(chunk: Uint8Array): void;
}

/** As the graph decoder's limits. */
const maxMessageBytes = 64 * 2 ** 20;
const maxPrefixBytes = 5;
/** First byte of a metadata message: field 1, the version. */
const metadataTag = 0x0a;
const advanceName = Buffer.from('advance_ns');

/** Chakra graph stream: varint(length) message, again and again. */
export class FrameWatcher implements RelayWatcher {
  numAdvances = 0;
  private offset = 0;
  private length = 0;
  private factor = 1;
  private prefixBytes = 0;
  /** Bytes of the current message still to come; -1 while its prefix is read. */
  private missing = -1;
  /** The message, while it can be metadata; undefined once it is known to be a node. */
  private metadata: Buffer[] | undefined;

  push(chunk: Uint8Array): void {
    let pos = 0;
    while (pos < chunk.length) {
      if (this.missing < 0) this.prefixByte(chunk[pos++]);
      else pos = this.body(chunk, pos);
      if (this.missing === 0) this.endMessage();
    }
  }

  private prefixByte(byte: number): void {
    this.length += (byte & 127) * this.factor;
    this.factor *= 128;
    this.prefixBytes++;
    if (byte >= 128) {
      if (this.prefixBytes === maxPrefixBytes) this.fail('not a length prefix: more than 5 bytes');
      return;
    }
    if (this.length > maxMessageBytes) this.fail(`message of ${this.length} bytes is too long`);
    this.missing = this.length;
    this.metadata = [];
  }

  private body(chunk: Uint8Array, pos: number): number {
    const end = Math.min(chunk.length, pos + this.missing);
    if (this.missing === this.length && chunk[pos] !== metadataTag) this.metadata = undefined;
    // A copy: the stream may reuse its memory.
    if (this.metadata !== undefined) this.metadata.push(Buffer.from(chunk.subarray(pos, end)));
    this.missing -= end - pos;
    return end;
  }

  private endMessage(): void {
    const { metadata } = this;
    if (metadata !== undefined && Buffer.concat(metadata).includes(advanceName)) this.numAdvances++;
    this.offset += this.prefixBytes + this.length;
    this.metadata = undefined;
    this.missing = -1;
    this.length = 0;
    this.factor = 1;
    this.prefixBytes = 0;
  }

  private fail(message: string): never {
    throw new UserError(message, { at: `byte ${this.offset}` });
  }
}

/** NDJSON control lines of the files carrier. */
export class LineWatcher implements RelayWatcher {
  numAdvances = 0;
  private readonly splitter = new LineSplitter();
  private readonly decoder = new TextDecoder();
  private readonly onLine: ((line: string) => void) | undefined;

  constructor(onLine?: (line: string) => void) {
    this.onLine = onLine;
  }

  push(chunk: Uint8Array): void {
    for (const line of this.splitter.push(this.decoder.decode(chunk, { stream: true }))) {
      if (line.includes('"advanceNs"')) this.numAdvances++;
      this.onLine?.(line);
    }
  }
}
