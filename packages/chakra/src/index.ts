export { fromLong, readAttribute } from './attribute.js';
export {
  type DecodeOptions,
  decodeGraph,
  decodeGraphs,
  GraphStreamDecoder,
  readGraphs,
} from './decode.js';
export { type Dialect, dialects, unknownTypeOf } from './dialect.js';
export { type Difference, type DiffOptions, diffGraphs, formatDifference } from './diff.js';
export { type EncodeOptions, encodeGraph, encodeGraphs } from './encode.js';
export { RecordReader } from './from-records.js';
export * from './graph.js';
export { chakraVersion, GraphBuilder } from './graph-builder.js';
export {
  describeGraphFiles,
  type GraphFiles,
  graphFileName,
  graphFilesSchema,
} from './graph-files.js';
export {
  advanceGraph,
  advanceOf,
  type ClockRequest,
  clockRequestSchema,
  expandGraphSet,
  GraphSetGatherer,
} from './graph-set.js';
export { knownAttributes } from './known-attributes.js';
export * from './lint/index.js';
export { misfit } from './misfit.js';
export { type IoInfo, type NodeFields, nodeFields, writeNodeFields } from './node-fields.js';
export {
  type AttributeRecord,
  collectiveName,
  type MetadataRecord,
  metadataRecord,
  type NodeRecord,
  nodeRecord,
  nodeTypeName,
} from './node-record.js';
export * from './node-type.js';
export { type Groups, processGroups, withGroups } from './process-groups.js';
export { type SchemaVersion, schemaVersions, withSchemaVersion } from './schema-version.js';
export { type GraphStatistics, graphStatistics } from './statistics.js';
export {
  groupsSchema,
  readStreamMetadata,
  type StreamMetadata,
  streamAttribute,
  writeStreamMetadata,
} from './stream-metadata.js';
export { StringTable } from './string-table.js';
export { type Slice, sliceNodes, viewDot, viewHtml } from './view.js';
