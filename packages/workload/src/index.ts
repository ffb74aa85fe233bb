export { type Content, type ContentOptions, materialise } from './content.js';
export * from './formats/index.js';
export * from './request.js';
export { RequestChecker } from './request-checker.js';
