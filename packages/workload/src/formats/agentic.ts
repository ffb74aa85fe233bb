/**
 * Agentic traces without a common clock: coding-assistant sessions (Weka), Applied Compute's turn
 * lists, tpu-inference rollouts. A line is a session of calls that wait for each other; sessions start
 * when the caller says (`nextArrivalNs`).
 */
import { UserError } from '@astrolabe/base';
import type { Request } from '../request.js';
import {
  arrivalSource,
  type Draft,
  hasField,
  hashesField,
  integerField,
  numberField,
  numbersField,
  type ReadOptions,
  type Row,
  type RowReader,
  secondsToNs,
  textField,
  type WorkloadFormat,
} from './format.js';

export const wekaFormat: WorkloadFormat = {
  name: 'weka',
  about: 'coding-assistant sessions (Weka), seconds, nested sessions',
  syntax: 'jsonl',
  keys: [['id', 'block_size', 'requests']],
  optional: ['hash_id_scope', 'models'],
  open: openWeka,
};

interface Chain {
  /** Ids that the next call waits for. */
  waitFor: number[];
  /** When they ended in the recording, s from session start; undefined when not recorded. */
  endS: number | undefined;
}

function openWeka(options: ReadOptions): RowReader {
  let nextId = 0;
  return {
    read: (row, at) => {
      const session = new WekaSession(row, at, nextId, arrivalSource(options, at));
      session.walk(row.requests, { waitFor: [], endS: undefined }, at);
      nextId += session.drafts.length;
      return session.drafts.sort((a, b) => a.request.arrivalNs - b.request.arrivalNs);
    },
  };
}

/** One line: calls in their order, which may hold nested sessions. */
class WekaSession {
  readonly drafts: Draft[] = [];
  private readonly name: string;
  private readonly firstId: number;
  private readonly arrivalNs: number;
  private readonly blockTokens: number;
  /** Before the hashes of this session alone. */
  private readonly scope: string;

  constructor(row: Row, at: string, firstId: number, arrivalNs: number) {
    this.name = textField(row, 'id') ?? `session_${firstId}`;
    this.firstId = firstId;
    this.arrivalNs = arrivalNs;
    this.blockTokens = integerField(row, 'block_size', at);
    this.scope = row.hash_id_scope === 'global' ? '' : `${this.name}:`;
  }

  walk(calls: unknown, chain: Chain, at: string): void {
    if (!Array.isArray(calls)) throw new UserError('requests: expected a list', { at });
    for (const [index, call] of (calls as Row[]).entries()) {
      const place = `${at}: requests[${index}]`;
      // A call with calls of its own is a nested session.
      if (call.requests === undefined) {
        this.add(call, chain, place);
        continue;
      }
      // The parent goes on when the nested session is done.
      const child: Chain = { ...chain };
      this.walk(call.requests, child, place);
      Object.assign(chain, child);
    }
  }

  private add(call: Row, chain: Chain, at: string): void {
    const startS = numberField(call, 't', at);
    const id = this.firstId + this.drafts.length;
    const request: Request = {
      id,
      arrivalNs: this.arrivalNs,
      promptTokens: integerField(call, hasField(call, 'in') ? 'in' : 'input_length', at),
      outputTokens: integerField(call, hasField(call, 'out') ? 'out' : 'output_length', at),
      session: this.name,
    };
    if (chain.waitFor.length > 0) {
      request.after = chain.waitFor;
      request.thinkNs = thinkNs(call, startS, chain.endS, at);
    } else if (startS > 0) request.arrivalNs = this.arrivalNs + secondsToNs(startS);
    const blocks = hashesField(call, 'hash_ids', at)?.map((hash) => `${this.scope}${hash}`);
    const { blockTokens } = this;
    this.drafts.push(blocks === undefined ? { request } : { request, blocks, blockTokens });
    chain.waitFor = [id];
    chain.endS = hasField(call, 'api_time')
      ? startS + numberField(call, 'api_time', at)
      : undefined;
  }
}

function thinkNs(call: Row, startS: number, endS: number | undefined, at: string): number {
  if (hasField(call, 'think_time')) return secondsToNs(numberField(call, 'think_time', at));
  return endS === undefined ? 0 : secondsToNs(Math.max(0, startS - endS));
}

/** Calls of a growing conversation: outputs, and what is added before each next call. */
function growing(
  firstId: number,
  arrivalNs: number,
  session: string,
  promptTokens: number,
  turns: readonly { readonly output: number; readonly added: number; readonly waitNs: number }[],
): Request[] {
  let prompt = promptTokens;
  return turns.map((turn, index) => {
    const request: Request = {
      id: firstId + index,
      arrivalNs,
      promptTokens: prompt,
      outputTokens: turn.output,
      session,
    };
    if (index > 0) {
      const before = turns[index - 1];
      request.after = [firstId + index - 1];
      request.thinkNs = before.waitNs;
      request.prefix = { of: firstId + index - 1, tokens: prompt - before.added };
    }
    prompt += turn.output + turn.added;
    return request;
  });
}

export const trieFormat: WorkloadFormat = {
  name: 'trie',
  about: 'Applied Compute turn lists, seconds, no arrival times',
  syntax: 'jsonl',
  keys: [['input_prompt_length', 'assistant_response_length', 'final_assistant_response_length']],
  optional: ['num_turns', 'tool_call_output_length', 'tool_call_latency'],
  open: (options) => {
    let nextId = 0;
    const read = (row: Row, at: string): Draft[] => {
      const responses = numbersField(row, 'assistant_response_length', at);
      const outputs = numbersField(row, 'tool_call_output_length', at);
      const waits = numbersField(row, 'tool_call_latency', at);
      if (outputs.length !== responses.length || waits.length !== responses.length) {
        throw new UserError('responses, tool outputs and latencies differ in number', { at });
      }
      const turns = responses.map((output, i) => ({
        output,
        added: outputs[i],
        waitNs: secondsToNs(waits[i]),
      }));
      const last = integerField(row, 'final_assistant_response_length', at);
      const requests = growing(
        nextId,
        arrivalSource(options, at),
        `session_${nextId}`,
        integerField(row, 'input_prompt_length', at),
        [...turns, { output: last, added: 0, waitNs: 0 }],
      );
      nextId += requests.length;
      return requests.map((request) => ({ request }));
    };
    return { read };
  },
};

export const rolloutFormat: WorkloadFormat = {
  name: 'rollout',
  about: 'tpu-inference rollouts: streams of a group share their prompt; no arrival times',
  syntax: 'jsonl',
  keys: [['group', 'stream', 'prompt_len', 'out_lens']],
  optional: ['obs_lens'],
  open: (options) => {
    const groups = new Map<string, { readonly id: number; readonly tokens: number }>();
    let nextId = 0;
    const read = (row: Row, at: string): Draft[] => {
      const outs = numbersField(row, 'out_lens', at);
      const added = hasField(row, 'obs_lens') ? numbersField(row, 'obs_lens', at) : [];
      const tokens = integerField(row, 'prompt_len', at);
      const turns = outs.map((output, i) => ({ output, added: added[i] ?? 0, waitNs: 0 }));
      for (const key of ['group', 'stream']) {
        if (!hasField(row, key)) throw new UserError(`${key} is missing`, { at });
      }
      const name = `${row.group}/${row.stream}`;
      const requests = growing(nextId, arrivalSource(options, at), name, tokens, turns);
      const first = groups.get(String(row.group));
      if (first === undefined) groups.set(String(row.group), { id: nextId, tokens });
      else if (requests.length > 0) {
        requests[0].prefix = { of: first.id, tokens: Math.min(tokens, first.tokens) };
      }
      nextId += requests.length;
      return requests.map((request) => ({ request }));
    };
    return { read };
  },
};
