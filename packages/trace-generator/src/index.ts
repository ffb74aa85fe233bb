export { captureSizes, paddingTable, padTokens } from './capture-sizes.js';
export {
  createTraceGenerator,
  type TraceGenerator,
  type TraceGeneratorOptions,
} from './generate.js';
export { expertPeers } from './groups.js';
export * from './iteration.js';
export { type Transfer, transferLane, transferSchema } from './kv-transfer.js';
export type { ExpertQuestion, ExpertRouter } from './moe/expert-loads.js';
export { loadLane, type MemoryMove, memoryMoveSchema, storeLane } from './moves.js';
export { type PimCost, pimCost } from './pim.js';
export { computeSlowdown, powerCapOf } from './power-cap.js';
export { type TermSwitches, type Terms, termNames, termSwitchesSchema } from './terms.js';
