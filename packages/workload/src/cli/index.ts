export { readWorkload } from './read-workload.js';
