export { findProfiles, openProfiles, type ProfileEntry, type Profiles } from './open-profiles.js';
export { importV1Bundle, openV1Bundle } from './v1-bundle.js';
