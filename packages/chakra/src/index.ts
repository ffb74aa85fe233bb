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
export { advanceGraph, advanceOf, expandGraphSet, GraphSetGatherer } from './graph-set.js';
export { knownAttributes } from './known-attributes.js';
export * from './node-type.js';
export {
  readStreamMetadata,
  type StreamMetadata,
  streamAttribute,
  writeStreamMetadata,
} from './stream-metadata.js';
export { StringTable } from './string-table.js';
