export {
  type PlacedDraft,
  type PlacedRequest,
  type ReadWorkloadOptions,
  readWorkload,
  streamDrafts,
  streamRequests,
} from './read-workload.js';
