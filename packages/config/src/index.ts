export * from './astra-groups.js';
export * from './astra-memory.js';
export * from './astra-network.js';
export * from './astra-system.js';
export * from './calibrate-links.js';
export * from './calibration.js';
export * from './cluster.js';
export * from './engine.js';
export {
  checkExpertRanks,
  expertPeersOf,
  expertRanksOf,
  redundantExperts,
} from './expert-ranks.js';
export * from './experts.js';
export * from './fork-memory.js';
export * from './interconnect.js';
export * from './kv-tiers.js';
export * from './measured-links.js';
export { type MemoryBudget, memoryBudget } from './memory-budget.js';
export * from './model.js';
export { isMoeLayer, type MoeShape } from './model-experts.js';
export type { LatentAttentionShape } from './model-latent.js';
export { type LocalAttention, localContext } from './model-local-attention.js';
export { elementBytes, type WeightPart, weightPartOf } from './model-quantization.js';
export * from './model-size.js';
export { weightBytesOnCxl, weightBytesOnHost } from './off-device-memory.js';
export * from './pim.js';
export {
  embeddingBytes,
  feedForwardBytes,
  hasTiedHead,
  residentWeightBytes,
} from './resident-weights.js';
export * from './resolve-cluster.js';
export * from './resolved-cluster.js';
export * from './size-table.js';
export * from './weight-placement.js';
