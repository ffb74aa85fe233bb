export { Anonymiser } from './anonymiser.js';
export { atRate, meanGapNs } from './at-rate.js';
export { type Content, type ContentOptions, materialise } from './content.js';
export * from './formats/index.js';
export {
  type WorkloadWriterName,
  type WriteOptions,
  workloadWriters,
} from './formats/write.js';
export { type ArrivalOptions, type ArrivalProcess, arrivals } from './generate/arrivals.js';
export { type GenerateOptions, generate, type Shape, shapes } from './generate/generate.js';
export { type Length, parseLength, sampleLength } from './generate/lengths.js';
export { type Preset, presets } from './generate/presets.js';
export {
  parseHistogram,
  type ServeGenClient,
  type ServeGenOptions,
  serveGenRequests,
} from './generate/servegen.js';
export { type Finding, Linter, type LintOptions } from './linter.js';
export { PrefixAttacher } from './prefix-attacher.js';
export { PrefixIndex, type SharedPrefix } from './prefix-index.js';
export * from './request.js';
export { RequestChecker } from './request-checker.js';
export { statistics, type WorkloadStatistics } from './statistics.js';
