export { findProfiles, openProfiles, type ProfileEntry, type Profiles } from './open-profiles.js';
