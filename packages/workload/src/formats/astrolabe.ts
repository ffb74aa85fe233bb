/** Our own NDJSON: one validated Request per line. */
import { parseWith } from '@astrolabe/base';
import { requestSchema } from '../request.js';
import { arrivalTooLate } from '../request-checker.js';
import type { WorkloadFormat } from './format.js';

export const astrolabeFormat: WorkloadFormat = {
  name: 'astrolabe',
  about: 'our NDJSON, one Request per line',
  syntax: 'jsonl',
  keys: [['arrivalNs'], ['promptTokens'], ['outputTokens']],
  optional: Object.keys(requestSchema.shape),
  open: ({ startAtZero }) => {
    let firstNs: bigint | undefined;
    return {
      read: (row, at) => {
        // An integer beyond 2^53 comes as its digits, so that formats that count from an epoch can read it.
        const { arrivalNs } = row;
        if (typeof arrivalNs !== 'string' || !/^\d{16,}$/.test(arrivalNs)) {
          return [{ request: parseWith(requestSchema, row, at) }];
        }
        if (startAtZero !== true) throw arrivalTooLate(arrivalNs, at);
        firstNs ??= BigInt(arrivalNs);
        const shifted = Number(BigInt(arrivalNs) - firstNs);
        const request = parseWith(requestSchema, { ...row, arrivalNs: Math.max(0, shifted) }, at);
        return [{ request: { ...request, arrivalNs: shifted } }];
      },
    };
  },
};
