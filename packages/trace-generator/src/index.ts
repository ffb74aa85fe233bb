export { captureSizes } from './capture-sizes.js';
export {
  createTraceGenerator,
  type TraceGenerator,
  type TraceGeneratorOptions,
} from './generate.js';
export { expertPeers } from './groups.js';
export * from './iteration.js';
export { type Transfer, transferLane, transferSchema } from './kv-transfer.js';
export { loadLane, type MemoryMove, storeLane } from './moves.js';
export { type PimCost, pimCost } from './pim.js';
export { computeSlowdown, powerCapOf } from './power-cap.js';
export { type TermSwitches, type Terms, termSwitchesSchema } from './terms.js';
