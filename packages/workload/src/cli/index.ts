export {
  type PlacedRequest,
  type ReadWorkloadOptions,
  readWorkload,
  streamRequests,
} from './read-workload.js';
