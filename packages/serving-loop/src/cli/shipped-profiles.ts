import { fileURLToPath } from 'node:url';

/** The profiles that a run takes when it names none. */
export const shippedProfiles = fileURLToPath(new URL('../../../../profiles', import.meta.url));
