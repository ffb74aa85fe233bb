export { openProfiles, type Profiles } from './open-profiles.js';
