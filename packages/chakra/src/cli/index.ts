/** How commands that take graphs find and read their files. */
export { expandOperand, npuOfFile, openBytes, readGraphFile } from './inputs.js';
