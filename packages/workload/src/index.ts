export { atRate } from './at-rate.js';
export { type Content, materialise, ownersOfBlocks, type PrefixTree } from './content.js';
export { arrivals } from './generate/arrivals.js';
export { generate, type Shape, shapes } from './generate/generate.js';
export { type Finding, Linter, type LintOptions } from './linter.js';
export * from './request.js';
export { RequestDropper } from './request-dropper.js';
export { statistics } from './statistics.js';
