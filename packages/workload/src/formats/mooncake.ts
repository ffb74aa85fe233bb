/**
 * Mooncake traces and their dialects. Times in ms; `hash_ids` name blocks of 512 tokens (or as given),
 * the last possibly partial, equal ids meaning equal content from the start.
 * - FAST'25: timestamp, input_length, output_length, hash_ids.
 * - Dynamo: + session_id; a later turn waits `delay` ms (or `delay_ms`) after the turn before.
 * - Agentic: + request_id, wait_for; start = all of wait_for done + delay + tool_wait_ms.
 * - Delta (by name only): every turn has just what it adds; lengths and hashes add up per session.
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

interface Session {
  lastId: number;
  arrivalNs: number;
  /** Delta dialect: tokens and hashes so far. */
  tokens: number;
  blocks: (string | number)[];
}

function openReader(options: ReadOptions, delta: boolean): RowReader {
  const blockTokens = options.blockTokens ?? 512;
  const sessions = new Map<string, Session>();
  const idByName = new Map<string, number>();
  const arrivalById: number[] = [];
  const dropped = new Dropped();
  let misfits = 0;
  let nextId = 0;

  const arrival = (row: Row, floorNs: number | undefined, at: string): number => {
    for (const name of ['timestamp', 'created_time']) {
      if (hasField(row, name)) return Math.round(numberField(row, name, at) * nsPerMs);
    }
    return floorNs ?? arrivalSource(options, at);
  };

  const read = (row: Row, at: string): readonly Draft[] => {
    const sessionName = textField(row, 'session_id');
    const name = textField(row, 'request_id');
    const outputTokens = integerField(row, 'output_length', at);
    // Nothing can wait for a request without a name; one that others may wait for is an error further on.
    if (outputTokens === 0 && sessionName === undefined && name === undefined) {
      return dropped.add('no output tokens (failed requests)');
    }
    const id = nextId++;
    const session = sessionName === undefined ? undefined : sessions.get(sessionName);
    const after = predecessors(row, session, idByName, at);
    const floorNs = after.reduce(
      (latest: number | undefined, other) => Math.max(latest ?? 0, arrivalById[other]),
      undefined,
    );
    const arrivalNs = Math.max(arrival(row, floorNs, at), floorNs ?? 0);
    arrivalById.push(arrivalNs);
    if (name !== undefined) idByName.set(name, id);

    const given = integerField(row, 'input_length', at);
    const before = delta ? session : undefined;
    const promptTokens = given + (before?.tokens ?? 0);
    const hashes = hashesField(row, 'hash_ids', at);
    const blocks = hashes === undefined ? undefined : [...(before?.blocks ?? []), ...hashes];
    if (!delta && hashes !== undefined && !fits(hashes.length, promptTokens, blockTokens))
      misfits++;
    const request: Request = { id, arrivalNs, promptTokens, outputTokens };
    if (after.length > 0) {
      request.after = after;
      request.thinkNs = waitNs(row, at);
    }
    if (sessionName !== undefined) {
      request.session = sessionName;
      const tokens = promptTokens + outputTokens;
      sessions.set(sessionName, { lastId: id, arrivalNs, tokens, blocks: blocks ?? [] });
    }
    return [blocks === undefined ? { request } : { request, blocks, blockTokens }];
  };
  const notes = (): string[] => [
    ...dropped.notes(),
    ...(misfits === 0
      ? []
      : [
          `${misfits} rows have more or fewer hash_ids than their prompts have blocks of ${blockTokens} ` +
            'tokens: is --trace-block-size right?',
        ]),
  ];
  return { read, notes };
}

/** A hash for every whole block of the prompt, and one for the part that is left or none. */
function fits(numHashes: number, promptTokens: number, blockTokens: number): boolean {
  const blocks = promptTokens / blockTokens;
  return numHashes === Math.floor(blocks) || numHashes === Math.ceil(blocks);
}

/** Ids this row waits for: `wait_for` by name, else the turn before when a delay is given. */
function predecessors(
  row: Row,
  session: Session | undefined,
  idByName: ReadonlyMap<string, number>,
  at: string,
): number[] {
  const waitFor = row.wait_for;
  if (Array.isArray(waitFor)) {
    return waitFor.map((name: unknown) => {
      const id = idByName.get(String(name));
      if (id !== undefined) return id;
      throw new UserError(`wait_for: ${JSON.stringify(name)} is no earlier request_id`, { at });
    });
  }
  if (hasField(row, 'wait_for')) {
    throw new UserError(`wait_for: expected a list of ids, got ${JSON.stringify(waitFor)}`, { at });
  }
  const closed = hasField(row, 'delay') || hasField(row, 'delay_ms') || !hasField(row, 'timestamp');
  return session !== undefined && closed ? [session.lastId] : [];
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
