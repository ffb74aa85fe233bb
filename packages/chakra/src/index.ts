export * from './graph.js';
export { chakraVersion, GraphBuilder } from './graph-builder.js';
export { advanceGraph, advanceOf, expandGraphSet, GraphSetGatherer } from './graph-set.js';
export * from './node-type.js';
export {
  readStreamMetadata,
  type StreamMetadata,
  streamAttribute,
  writeStreamMetadata,
} from './stream-metadata.js';
export { StringTable } from './string-table.js';
