export { PipeBackend } from './carriers/pipe.js';
export { FrameWatcher } from './carriers/relay-watcher.js';
export {
  addBehaviourOptions,
  addInputOptions,
  type ServingOptions,
  servingOptions,
} from './options.js';
export { type Served, serve, servedCluster } from './serve.js';
export { shippedProfiles } from './shipped-profiles.js';
