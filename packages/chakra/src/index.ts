export { fromLong, noKind, readAttribute } from './attribute.js';
export {
  type DecodeOptions,
  decodeGraph,
  decodeGraphs,
  GraphStreamDecoder,
  readGraphs,
} from './decode.js';
export { misfit } from './decode-node.js';
export { type Dialect, dialects, unknownTypeOf } from './dialect.js';
export { type EncodeOptions, encodeGraph, encodeGraphs } from './encode.js';
export * from './graph.js';
export { chakraVersion, GraphBuilder } from './graph-builder.js';
export {
  describeGraphFiles,
  type GraphFiles,
  graphFileName,
  graphFilesSchema,
} from './graph-files.js';
export { advanceGraph, advanceOf, expandGraphSet, GraphSetGatherer } from './graph-set.js';
export { knownAttributes } from './known-attributes.js';
export * from './lint/index.js';
export { type IoInfo, type NodeFields, nodeFields } from './node-fields.js';
export * from './node-type.js';
export {
  readStreamMetadata,
  type StreamMetadata,
  streamAttribute,
  writeStreamMetadata,
} from './stream-metadata.js';
export { StringTable } from './string-table.js';
