/** Our own NDJSON: one validated Request per line. */
import { parseWith } from '@astrolabe/base';
import { requestSchema } from '../request.js';
import type { WorkloadFormat } from './format.js';

export const astrolabeFormat: WorkloadFormat = {
  name: 'astrolabe',
  about: 'our NDJSON, one Request per line',
  syntax: 'jsonl',
  keys: [['arrivalNs'], ['promptTokens'], ['outputTokens']],
  optional: Object.keys(requestSchema.shape),
  open: () => ({ read: (row, at) => [{ request: parseWith(requestSchema, row, at) }] }),
};
