export type { ServingOptions } from './options.js';
export { encodeRequests, ResultFolder } from './result-folder.js';
export { type Served, serve } from './serve.js';
