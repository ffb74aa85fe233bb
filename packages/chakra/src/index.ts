export * from './graph.js';
export * from './node-type.js';
