export { decodeProfile, encodeProfile } from './profile-codec.js';
