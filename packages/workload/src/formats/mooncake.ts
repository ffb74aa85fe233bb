/**
 * Mooncake traces and their dialects. Times in ms; `hash_ids` name blocks of 512 tokens (or as given),
 * the last possibly partial, equal ids meaning equal content from the start.
 * - FAST'25: timestamp, input_length, output_length, hash_ids.
 * - Dynamo: + session_id; a later turn waits `delay` ms (or `delay_ms`) after the turn before.
 * - Agentic: + request_id, wait_for; start = all of wait_for done + delay + tool_wait_ms.
 * - Delta (by name only): every turn has just what it adds; lengths and hashes add up per session.
 * A request without output tokens failed: it is left out, and took no time for those that wait for it.
 */
import { nsPerMs, UserError } from '@astrolabe/base';
import type { Request } from '../request.js';
import {
  arrivalSource,
  type Draft,
  Dropped,
  hasField,
  hashesField,
  integerField,
  numberField,
  type ReadOptions,
  type Row,
  type RowReader,
  textField,
  type WorkloadFormat,
} from './format.js';

const noOutput = 'no output tokens (failed requests)';

const optional = [
  'timestamp',
  'created_time',
  'hash_ids',
  'session_id',
  'delay',
  'delay_ms',
  'request_id',
  'wait_for',
  'tool_wait_ms',
];

export const mooncakeFormat: WorkloadFormat = {
  name: 'mooncake',
  about: 'Mooncake JSONL, with session and agentic dialects; ms, blocks of 512 tokens',
  syntax: 'jsonl',
  keys: [['input_length', 'output_length']],
  without: ['chat_id', 'input_prompt_length'],
  optional,
  open: (options) => openReader(options, false),
};

export const mooncakeDeltaFormat: WorkloadFormat = {
  ...mooncakeFormat,
  name: 'mooncake-delta',
  about: 'Mooncake JSONL where a turn has only what it adds; by name only',
  keys: [],
  open: (options) => openReader(options, true),
};

/** What is waited for by whoever waits for a row. */
interface End {
  /** The request of the row; of a row that is left out, those that it waited for. */
  ids: readonly number[];
  /** To wait on top: delays of rows that are left out. */
  thinkNs: number;
  /** Not before that. */
  arrivalNs: number;
}

/** Where a row stands in time. */
interface Start {
  arrivalNs: number;
  after: number[];
  thinkNs: number;
}

interface Session {
  last: End;
  /** Delta dialect: tokens and hashes so far. */
  tokens: number;
  blocks: (string | number)[];
}

function openReader(options: ReadOptions, delta: boolean): RowReader {
  const blockTokens = options.blockTokens ?? 512;
  const sessions = new Map<string, Session>();
  const endByName = new Map<string, End>();
  const dropped = new Dropped();
  let misfits = 0;
  let nextId = 0;

  const arrival = (row: Row, floorNs: number | undefined, at: string): number => {
    for (const name of ['timestamp', 'created_time']) {
      if (hasField(row, name)) return Math.round(numberField(row, name, at) * nsPerMs);
    }
    return floorNs ?? arrivalSource(options, at);
  };

  /** When the row may start, and the requests that it waits for. */
  const startOf = (row: Row, session: Session | undefined, at: string): Start => {
    const awaited = awaitedEnds(row, session, endByName, at);
    if (awaited.length === 0) {
      return { arrivalNs: arrival(row, undefined, at), after: [], thinkNs: 0 };
    }
    const floorNs = Math.max(...awaited.map((end) => end.arrivalNs));
    const after = [...new Set(awaited.flatMap((end) => end.ids))];
    const thinkNs = waitNs(row, at) + Math.max(...awaited.map((end) => end.thinkNs));
    const soonestNs = after.length === 0 ? floorNs + thinkNs : floorNs;
    return { arrivalNs: Math.max(arrival(row, soonestNs, at), soonestNs), after, thinkNs };
  };

  const read = (row: Row, at: string): readonly Draft[] => {
    const sessionName = textField(row, 'session_id');
    const session = sessionName === undefined ? undefined : sessions.get(sessionName);
    const name = textField(row, 'request_id');
    const outputTokens = integerField(row, 'output_length', at);
    const named = sessionName !== undefined || name !== undefined;
    if (outputTokens === 0 && !named) return dropped.add(noOutput);
    const start = startOf(row, session, at);
    const id = outputTokens === 0 ? undefined : nextId++;
    const end = endOf(start, id);
    if (name !== undefined) endByName.set(name, end);

    const given = integerField(row, 'input_length', at);
    const before = delta ? session : undefined;
    const promptTokens = given + (before?.tokens ?? 0);
    const hashes = hashesField(row, 'hash_ids', at);
    const blocks = hashes === undefined ? undefined : [...(before?.blocks ?? []), ...hashes];
    if (sessionName !== undefined) {
      const tokens = promptTokens + outputTokens;
      sessions.set(sessionName, { last: end, tokens, blocks: blocks ?? [] });
    }
    if (id === undefined) return dropped.add(noOutput);
    if (!delta && hashes !== undefined && !fits(hashes.length, promptTokens, blockTokens))
      misfits++;
    const request: Request = { id, arrivalNs: start.arrivalNs, promptTokens, outputTokens };
    if (start.after.length > 0) {
      request.after = start.after;
      request.thinkNs = start.thinkNs;
    }
    if (sessionName !== undefined) request.session = sessionName;
    return [blocks === undefined ? { request } : { request, blocks, blockTokens }];
  };
  return { read, notes: () => [...dropped.notes(), ...misfitNotes(misfits, blockTokens)] };
}

/** @param id undefined: the row is left out */
function endOf({ arrivalNs, after, thinkNs }: Start, id: number | undefined): End {
  if (id !== undefined) return { ids: [id], thinkNs: 0, arrivalNs };
  return { ids: after, thinkNs: after.length === 0 ? 0 : thinkNs, arrivalNs };
}

function misfitNotes(misfits: number, blockTokens: number): string[] {
  if (misfits === 0) return [];
  const what = `${misfits} rows have more or fewer hash_ids than their prompts have blocks of`;
  return [`${what} ${blockTokens} tokens: is --trace-block-size right?`];
}

/** A hash for every whole block of the prompt, and one for the part that is left or none. */
function fits(numHashes: number, promptTokens: number, blockTokens: number): boolean {
  const blocks = promptTokens / blockTokens;
  return numHashes === Math.floor(blocks) || numHashes === Math.ceil(blocks);
}

/** What this row waits for: `wait_for` by name, else the turn before when a delay is given. */
function awaitedEnds(
  row: Row,
  session: Session | undefined,
  endByName: ReadonlyMap<string, End>,
  at: string,
): End[] {
  const waitFor = row.wait_for;
  if (Array.isArray(waitFor)) {
    return waitFor.map((name: unknown) => {
      const end = endByName.get(String(name));
      if (end !== undefined) return end;
      throw new UserError(`wait_for: ${JSON.stringify(name)} is no earlier request_id`, { at });
    });
  }
  if (hasField(row, 'wait_for')) {
    throw new UserError(`wait_for: expected a list of ids, got ${JSON.stringify(waitFor)}`, { at });
  }
  const closed = hasField(row, 'delay') || hasField(row, 'delay_ms') || !hasField(row, 'timestamp');
  return session !== undefined && closed ? [session.last] : [];
}

function waitNs(row: Row, at: string): number {
  let ms = 0;
  for (const name of ['delay', 'delay_ms', 'tool_wait_ms']) {
    if (hasField(row, name)) ms += numberField(row, name, at);
  }
  if (ms < 0) throw new UserError(`delay: expected >= 0 ms, got ${ms}`, { at });
  return Math.round(ms * nsPerMs);
}

/** Looks like Mooncake and is not: refused rather than read with the wrong units. */
export const bailianFormat: WorkloadFormat = {
  name: 'qwen-bailian',
  about: 'refused: its units are not certain',
  syntax: 'jsonl',
  keys: [['chat_id', 'input_length', 'output_length', 'hash_ids']],
  optional: [],
  open: () => ({
    read: (_row, at) => {
      throw new UserError('Qwen-Bailian traces are not read: their units are not certain', {
        at,
        hint: 'as ms and 16-token blocks: --from mooncake --trace-block-size 16',
      });
    },
  }),
};
