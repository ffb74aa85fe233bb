/**
 * ShareGPT conversations (a JSON array): each answer becomes a request whose prompt is the text so far.
 * A turn waits for the one before. Lengths are estimated from the text, not tokenised.
 */
import { UserError } from '@astrolabe/base';
import type { Request } from '../request.js';
import {
  arrivalSource,
  type Draft,
  type ReadOptions,
  type Row,
  type RowReader,
  textField,
  type WorkloadFormat,
} from './format.js';

export const shareGptFormat: WorkloadFormat = {
  name: 'sharegpt',
  about: 'ShareGPT JSON array; token counts are estimates; no arrival times',
  syntax: 'json',
  keys: [['conversations']],
  optional: ['id'],
  open: openReader,
};

function openReader(options: ReadOptions): RowReader {
  let nextId = 0;
  let skipped = 0;
  const read = (row: Row, at: string): Draft[] => {
    const turns = row.conversations;
    if (!Array.isArray(turns)) throw new UserError('conversations: expected a list', { at });
    const session = textField(row, 'id') ?? `conversation_${nextId}`;
    const requests: Request[] = [];
    let contextTokens = 0;
    let asked = false;
    let arrivalNs: number | undefined;
    for (const turn of turns as Row[]) {
      const text = typeof turn.value === 'string' ? turn.value : '';
      const length = estimateTokens(text);
      const answers = turn.from === 'gpt' || turn.from === 'assistant' || turn.from === 'chatgpt';
      if (answers && asked && length > 0 && contextTokens > 0) {
        arrivalNs ??= arrivalSource(options, at);
        requests.push(turnRequest(nextId++, arrivalNs, session, contextTokens, length, requests));
        asked = false;
      } else if (!answers) asked = true;
      contextTokens += length;
    }
    if (requests.length === 0) skipped++;
    return requests.map((request) => ({ request }));
  };
  const notes = (): string[] => [
    'token counts are estimates from the text; a tokenizer gives others',
    ...(skipped > 0 ? [`left out ${skipped} conversations without question and answer`] : []),
  ];
  return { read, notes };
}

function turnRequest(
  id: number,
  arrivalNs: number,
  session: string,
  promptTokens: number,
  outputTokens: number,
  earlier: readonly Request[],
): Request {
  const request: Request = { id, arrivalNs, promptTokens, outputTokens, session };
  const before = earlier[earlier.length - 1];
  if (before === undefined) return request;
  request.after = [before.id];
  request.prefix = { of: before.id, tokens: before.promptTokens + before.outputTokens };
  return request;
}

const pieces =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}]|\p{L}+|\p{N}{1,3}|[^\s\p{L}\p{N}]+|\n+/gu;

/**
 * Tokens of a text as a byte-pair vocabulary of about 10^5 entries would cut it, roughly: words of up
 * to 8 letters are one token and longer ones one per 5 letters, digits come in threes, punctuation in
 * twos, a CJK character is one.
 */
export function estimateTokens(text: string): number {
  let tokens = 0;
  for (const [piece] of text.matchAll(pieces)) {
    if (/^\p{L}/u.test(piece)) tokens += piece.length <= 8 ? 1 : Math.ceil(piece.length / 5);
    else if (/^[\p{N}\n]/u.test(piece)) tokens += 1;
    else tokens += Math.ceil(piece.length / 2);
  }
  return tokens;
}
