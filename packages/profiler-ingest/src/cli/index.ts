export { latencyModelOf, openProfiles, type Profiles } from './open-profiles.js';
