/** Goal: traces of sessions and conversations give the requests their documentation means, by hand; units are the traps. */
import { describe, expect, it } from 'vitest';
import { estimateTokens } from '../formats/sharegpt.js';
import { clock, lines, readText } from './read-text.test-helper.js';

describe('agentic sessions', () => {
  it('Weka: seconds, recorded API time, nested sessions, local hashes', async () => {
    const leaf = (t: number, hash_ids: number[], more: object = {}): object => ({
      t,
      type: 'n',
      in: 128,
      out: 10,
      hash_ids,
      ...more,
    });
    const sub = { t: 3, requests: [leaf(3, [1, 7])] };
    const session = (id: string): object => ({
      id,
      block_size: 64,
      hash_id_scope: 'local',
      requests: [leaf(0, [1, 2], { api_time: 1.5 }), sub, leaf(9, [1, 2], { think_time: 0.5 })],
    });
    const requests = await readText(lines(session('a'), session('b')), { nextArrivalNs: clock() });
    expect(requests.slice(0, 3).map((r) => [r.arrivalNs, r.after, r.thinkNs, r.prefix])).toEqual([
      [0, undefined, undefined, undefined],
      [0, [0], 1.5e9, { of: 0, tokens: 64 }],
      [0, [1], 0.5e9, { of: 0, tokens: 128 }],
    ]);
    // Another session's hashes are other content.
    expect(requests[3]).toMatchObject({ arrivalNs: 1000, session: 'b' });
    expect(requests[3].prefix).toBeUndefined();
  });

  it('TRIE turn lists grow the conversation', async () => {
    const row = {
      num_turns: 2,
      input_prompt_length: 100,
      assistant_response_length: [10, 20],
      tool_call_output_length: [5, 6],
      tool_call_latency: [0.5, 1],
      final_assistant_response_length: 30,
    };
    const requests = await readText(lines(row), { nextArrivalNs: clock() });
    expect(
      requests.map((r) => [r.promptTokens, r.outputTokens, r.thinkNs, r.prefix?.tokens]),
    ).toEqual([
      [100, 10, undefined, undefined],
      [115, 20, 5e8, 110],
      [141, 30, 1e9, 135],
    ]);
  });

  it('a rollout without its group is refused', async () => {
    const row = { stream: 0, prompt_len: 50, out_lens: [5] };
    const options = { format: 'rollout', nextArrivalNs: clock() };
    await expect(readText(lines(row), options)).rejects.toThrow('x:1: group is missing');
  });

  it('a think time beyond the clock is refused', async () => {
    const row = {
      input_prompt_length: 100,
      assistant_response_length: [10],
      tool_call_output_length: [5],
      tool_call_latency: [1e308],
      final_assistant_response_length: 30,
    };
    await expect(readText(lines(row), { nextArrivalNs: clock() })).rejects.toThrow(
      'x:1: thinkNs: expected an integer of 0 to 2^53 ns (104 days), got Infinity',
    );
  });

  it('rollouts of a group share the prompt', async () => {
    const requests = await readText(
      lines(
        { group: 1, stream: 0, prompt_len: 50, out_lens: [5, 6], obs_lens: [2] },
        { group: 1, stream: 1, prompt_len: 50, out_lens: [7], obs_lens: [] },
      ),
      { nextArrivalNs: () => 0 },
    );
    expect(requests.map((r) => [r.promptTokens, r.prefix])).toEqual([
      [50, undefined],
      [57, { of: 0, tokens: 55 }],
      [50, { of: 0, tokens: 50 }],
    ]);
  });
});

describe('ShareGPT', () => {
  const conversations = [
    {
      id: 'c',
      conversations: [
        { from: 'human', value: 'Hello there' },
        { from: 'gpt', value: 'General Kenobi!' },
        { from: 'human', value: 'Go on' },
        { from: 'assistant', value: 'No' },
      ],
    },
    { id: 'd', conversations: [{ from: 'gpt', value: 'alone' }] },
  ];

  it('makes a request of each answer, the prompt being the text so far', async () => {
    const requests = await readText(JSON.stringify(conversations, null, 1), {
      nextArrivalNs: () => 5,
    });
    expect(requests).toEqual([
      { id: 0, arrivalNs: 5, promptTokens: 2, outputTokens: 3, session: 'c' },
      {
        id: 1,
        arrivalNs: 5,
        promptTokens: 7,
        outputTokens: 1,
        session: 'c',
        after: [0],
        prefix: { of: 0, tokens: 5 },
      },
    ]);
  });

  it('is a stream: a cut array names the place', async () => {
    const text = JSON.stringify(conversations);
    const cut = readText(text.slice(0, -9), { nextArrivalNs: () => 0 });
    await expect(cut).rejects.toThrow('x: [1]: the JSON array has no end');
    await expect(readText('[{"conversations": nope}]')).rejects.toThrow('x: not valid JSON');
  });

  it('estimates tokens by word, digits, punctuation and CJK character', () => {
    expect(estimateTokens('')).toBe(0);
    expect(estimateTokens('internationalisation is 12345!!!')).toBe(4 + 1 + 2 + 2);
    expect(estimateTokens('\u4f60\u597d')).toBe(2);
  });
});
