/**
 * LLMServingSim's workload JSONL: flat lines and agentic sessions, mixed. A session is a chain: each
 * call waits for the one before and that one's `tool_duration_ns`; the last duration has no effect.
 * Ids count calls in file order, as LLMServingSim reserves them. Unlike it, a repeated `session_id`
 * and token ids that do not match their count are errors.
 */
import { UserError } from '@astrolabe/base';
import type { Request } from '../request.js';
import {
  type Draft,
  integerField,
  integersField,
  numberField,
  type Row,
  type RowReader,
  textField,
  type WorkloadFormat,
} from './format.js';

export const llmServingSimFormat: WorkloadFormat = {
  name: 'llmservingsim',
  about: 'LLMServingSim JSONL, flat lines and agentic sessions',
  syntax: 'jsonl',
  keys: [['input_toks', 'output_toks', 'arrival_time_ns'], ['sub_requests']],
  optional: ['input_tok_ids', 'output_tok_ids', 'session_id', 'sub_requests'],
  open: openReader,
};

function openReader(): RowReader {
  const sessions = new Set<string>();
  let nextId = 0;
  const read = (row: Row, at: string): Draft[] => {
    if (row.sub_requests === undefined) {
      return [{ request: { id: nextId++, arrivalNs: arrival(row, at), ...call(row, at) } }];
    }
    const session = textField(row, 'session_id') ?? `session_${nextId}`;
    if (sessions.has(session)) {
      throw new UserError(`session_id ${JSON.stringify(session)} occurs twice`, { at });
    }
    sessions.add(session);
    const requests = readSession(row, session, nextId, at);
    nextId += requests.length;
    return requests.map((request) => ({ request }));
  };
  return { read };
}

function readSession(row: Row, session: string, firstId: number, at: string): Request[] {
  const calls = row.sub_requests;
  if (!Array.isArray(calls)) throw new UserError('sub_requests: expected a list', { at });
  const arrivalNs = arrival(row, at);
  return calls.map((value: unknown, index) => {
    const place = `${at}: sub_requests[${index}]`;
    if (typeof value !== 'object' || value === null) {
      throw new UserError('expected an object', { at: place });
    }
    const request: Request = { id: firstId + index, arrivalNs, ...call(value as Row, place) };
    request.session = session;
    if (index === 0) return request;
    request.after = [firstId + index - 1];
    request.thinkNs = toolDuration(calls[index - 1] as Row, `${at}: sub_requests[${index - 1}]`);
    return request;
  });
}

function toolDuration(row: Row, at: string): number {
  if (row.tool_duration_ns === undefined || row.tool_duration_ns === null) return 0;
  const value = Math.trunc(numberField(row, 'tool_duration_ns', at));
  if (value >= 0) return value;
  throw new UserError(`tool_duration_ns: expected >= 0, got ${value}`, { at });
}

function arrival(row: Row, at: string): number {
  // LLMServingSim coerces with int(), which truncates.
  return Math.trunc(numberField(row, 'arrival_time_ns', at));
}

function call(
  row: Row,
  at: string,
): Pick<Request, 'promptTokens' | 'outputTokens' | 'promptTokenIds' | 'outputTokenIds'> {
  const promptTokenIds = integersField(row, 'input_tok_ids', at);
  const outputTokenIds = integersField(row, 'output_tok_ids', at);
  return {
    promptTokens: integerField(row, 'input_toks', at),
    outputTokens: integerField(row, 'output_toks', at),
    ...(promptTokenIds === undefined ? {} : { promptTokenIds }),
    ...(outputTokenIds === undefined ? {} : { outputTokenIds }),
  };
}
