export * from './cluster.js';
export * from './engine.js';
export * from './model.js';
export * from './resolve-cluster.js';
