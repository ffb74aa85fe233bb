/**
 * Compact CSV: counts and arrivals with content as a prefix tree. `prefix_parent` is -1 or empty for
 * none; the two prefix columns may be absent.
 */
import type { Request } from '../request.js';
import { hasField, integerField, type Row, type WorkloadFormat } from './format.js';

export const compactCsvFormat: WorkloadFormat = {
  name: 'compact',
  about: 'CSV request,arrival_ns,input_toks,output_toks[,prefix_parent,prefix_len]',
  syntax: 'csv',
  keys: [['request', 'arrival_ns', 'input_toks', 'output_toks']],
  optional: ['prefix_parent', 'prefix_len'],
  open: () => ({ read: (row, at) => [{ request: readRow(row, at) }] }),
};

function readRow(row: Row, at: string): Request {
  const request: Request = {
    id: integerField(row, 'request', at),
    arrivalNs: integerField(row, 'arrival_ns', at),
    promptTokens: integerField(row, 'input_toks', at),
    outputTokens: integerField(row, 'output_toks', at),
  };
  if (!hasField(row, 'prefix_parent')) return request;
  const parent = integerField(row, 'prefix_parent', at);
  if (parent < 0) return request;
  const tokens = integerField(row, 'prefix_len', at);
  if (tokens > 0) request.prefix = { of: parent, tokens };
  return request;
}
