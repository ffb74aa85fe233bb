/**
 * The second engine: protobufjs reflection over proto/et_def.proto. Slow and general; for JSON dumps
 * of every field and for checking our own reader and writer against it.
 */
import { UserError } from '@astrolabe/base';
import protobuf from 'protobufjs';

/** A message as plain data: snake_case names, enums as numbers, 64-bit integers as text. */
type PlainMessage = Record<string, unknown>;

interface PlainTrace {
  readonly metadata: PlainMessage;
  readonly nodes: readonly PlainMessage[];
}

interface ReflectedSchema {
  /** Decodes one .et file. @throws UserError when it is cut or malformed */
  decode(bytes: Uint8Array): PlainTrace;
  encode(trace: PlainTrace): Uint8Array;
}

/** @param protoText the content of proto/et_def.proto */
export function reflectSchema(protoText: string): ReflectedSchema {
  const { root } = protobuf.parse(protoText, { keepCase: true });
  const metadataType = root.lookupType('ChakraProtoMsg.GlobalMetadata');
  const nodeType = root.lookupType('ChakraProtoMsg.Node');
  const plain = (type: protobuf.Type, reader: protobuf.Reader): PlainMessage =>
    type.toObject(type.decodeDelimited(reader), { longs: String, oneofs: true });
  return {
    decode(bytes) {
      const reader = protobuf.Reader.create(bytes);
      try {
        const metadata = plain(metadataType, reader);
        const nodes: PlainMessage[] = [];
        while (reader.pos < reader.len) nodes.push(plain(nodeType, reader));
        return { metadata, nodes };
      } catch (error) {
        throw new UserError(`not a Chakra trace: ${(error as Error).message}`);
      }
    },
    encode(trace) {
      const writer = protobuf.Writer.create();
      metadataType.encodeDelimited(metadataType.fromObject(trace.metadata), writer);
      for (const node of trace.nodes) nodeType.encodeDelimited(nodeType.fromObject(node), writer);
      return writer.finish();
    },
  };
}
