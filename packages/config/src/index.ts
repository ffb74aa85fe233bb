export * from './calibration.js';
export * from './cluster.js';
export * from './engine.js';
export * from './kv-tiers.js';
export * from './model.js';
export * from './model-size.js';
export * from './resolve-cluster.js';
