/**
 * Looks over an Arrow IPC stream before the library reads it: a stream that ends early would be taken for
 * a shorter table, and a damaged length or offset for thousands of millions of fields or rows. Layout:
 * Arrow columnar format, "Encapsulated message format", and its Message.fbs and Schema.fbs.
 */
import { UserError } from '@astrolabe/base';
import { FlatTable } from './flat-table.js';

/** MetadataVersion. Before V4 a buffer's place is read from elsewhere. */
const versionV4 = 3;
/** MessageHeader. */
const header = { schema: 1, dictionaryBatch: 2, recordBatch: 3 };

export function damaged(at: string): UserError {
  return new UserError('a damaged Arrow stream, expected a profile of profiler-ingest', { at });
}

/**
 * @param at file name for messages
 * @throws UserError not Arrow, cut short or damaged
 * @throws RangeError a read beyond the message: damaged, too
 */
export function checkStream(bytes: Uint8Array, at: string): void {
  if (String.fromCharCode(...bytes.subarray(0, 6)) === 'ARROW1') {
    throw new UserError('an Arrow file (Feather), expected an Arrow stream', {
      at,
      hint: 'pyarrow.ipc.new_stream writes one',
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 0;
  while (offset + 8 <= bytes.length) {
    if (view.getUint32(offset, true) !== 0xffffffff) {
      throw new UserError('not an Arrow stream: no message here', { at: `${at}: byte ${offset}` });
    }
    const metadataBytes = view.getInt32(offset + 4, true);
    const start = offset + 8;
    if (metadataBytes === 0) {
      if (start < bytes.length) throw damaged(at);
      return;
    }
    if (start + metadataBytes > bytes.length) break;
    const metadata = new DataView(bytes.buffer, bytes.byteOffset + start, metadataBytes);
    const body = checkMessage(metadata, at);
    offset = start + metadataBytes + body;
  }
  throw new UserError('Arrow stream cut short: no end mark', { at: `${at}: byte ${bytes.length}` });
}

/** @returns bytes of the body */
function checkMessage(metadata: DataView, at: string): number {
  const message = FlatTable.root(metadata);
  const bodyBytes = message.int64(3);
  if (message.int16(0) < versionV4 || bodyBytes < 0) throw damaged(at);
  checkWords(message, 4);
  const content = message.table(2);
  if (content === undefined) throw damaged(at);
  const kind = message.uint8(1);
  if (kind === header.schema) checkSchema(content);
  else if (kind === header.recordBatch) checkBatch(content, bodyBytes, at);
  else if (kind === header.dictionaryBatch) checkBatch(content.table(1), bodyBytes, at);
  else throw damaged(at);
  return bodyBytes;
}

function checkSchema(schema: FlatTable): void {
  for (const field of schema.tables(1)) checkField(field);
  checkWords(schema, 2);
}

function checkField(field: FlatTable): void {
  field.string(0);
  field.table(3);
  field.table(4);
  for (const child of field.tables(5)) checkField(child);
  checkWords(field, 6);
}

/** `custom_metadata`: keys and values. */
function checkWords(table: FlatTable, slot: number): void {
  for (const pair of table.tables(slot)) {
    pair.string(0);
    pair.string(1);
  }
}

/** Buffers lie in the body, a value of a column has a bit there at least, and the first column every row. */
function checkBatch(batch: FlatTable | undefined, bodyBytes: number, at: string): void {
  if (batch === undefined) throw damaged(at);
  if (batch.table(3) !== undefined) {
    throw new UserError('columns are compressed, expected an uncompressed Arrow stream', { at });
  }
  const isCount = (value: number): boolean => value >= 0 && value <= 8 * bodyBytes;
  const [rows, nodes] = [batch.int64(0), batch.pairs(1)];
  if (rows !== (nodes[0]?.[0] ?? 0)) throw damaged(at);
  if (!nodes.every(([length]) => isCount(length))) throw damaged(at);
  for (const [offset, length] of batch.pairs(2)) {
    if (offset < 0 || length < 0 || offset + length > bodyBytes) throw damaged(at);
  }
}
