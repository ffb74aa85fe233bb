export * from './attention-work.js';
export * from './latency-model.js';
export { lookupState, OperatorLine } from './operator-line.js';
export * from './profile-table.js';
export * from './table-model.js';
