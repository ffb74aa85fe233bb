export { AttentionGrid, type AttentionPoints } from './attention-grid.js';
export * from './attention-work.js';
export { type CollectiveCurve, CollectiveTable } from './collective-table.js';
export { DecodeTail, measureTail, type SkewShot, skewShots } from './decode-tail.js';
export { type Device, deviceSchema } from './device.js';
export * from './fitted-model.js';
export * from './latency-model.js';
export {
  countLookups,
  type LookupCounts,
  lookupCountsSchema,
  type ProfileUse,
  profileUseSchema,
} from './lookup-counts.js';
export { OperatorLine } from './operator-line.js';
export { type OperatorPower, operatorPowerOf } from './operator-power.js';
export * from './profile-table.js';
export { rooflineTable } from './roofline.js';
export { fillsGrid } from './scattered-times.js';
export * from './table-model.js';
