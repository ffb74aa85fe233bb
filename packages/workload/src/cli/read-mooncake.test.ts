/** Goal: Mooncake and its dialects give the requests their documentation means, by hand; units are the traps. */
import { describe, expect, it } from 'vitest';
import { lines, readText } from './read-text.test-helper.js';

describe('Mooncake', () => {
  it('ms and blocks of 512, the last partial', async () => {
    const requests = await readText(
      lines(
        { timestamp: 0, input_length: 1100, output_length: 5, hash_ids: [1, 2, 3] },
        { timestamp: 27.5, input_length: 1100, output_length: 6, hash_ids: [1, 2, 3] },
        { timestamp: 28, input_length: 1030, output_length: 7, hash_ids: [1, 2, 9] },
        { timestamp: 28, input_length: 600, output_length: 7, hash_ids: [4, 2] },
      ),
    );
    expect(requests.map((r) => [r.arrivalNs, r.prefix])).toEqual([
      [0, undefined],
      [27500000, { of: 0, tokens: 1100 }],
      [28000000, { of: 0, tokens: 1024 }],
      // Block 2 after block 4 is another prefix.
      [28000000, undefined],
    ]);
  });

  it('takes the block size from outside, and hashes beyond 2^53 exactly', async () => {
    const row =
      '{"timestamp": 0, "input_length": 30, "output_length": 1, "hash_ids": [9007199254740993, 5]}';
    const near = row.replace('993', '992');
    const requests = await readText([row, near, row].join('\n'), { blockTokens: 16 });
    expect(requests.map((r) => r.prefix?.tokens)).toEqual([undefined, undefined, 30]);
  });

  it('sessions: a turn with a delay waits for the one before', async () => {
    const requests = await readText(
      lines(
        { session_id: 'a', timestamp: 10, input_length: 5, output_length: 2 },
        { session_id: 'a', delay: 4, input_length: 9, output_length: 3 },
      ),
    );
    expect(requests[1]).toEqual({
      id: 1,
      arrivalNs: 10e6,
      promptTokens: 9,
      outputTokens: 3,
      session: 'a',
      after: [0],
      thinkNs: 4e6,
    });
  });

  it('agentic: waits for names, delays add up', async () => {
    const requests = await readText(
      lines(
        { request_id: 'p', timestamp: 1, input_length: 5, output_length: 2 },
        { request_id: 'q', wait_for: ['p'], delay: 1, input_length: 5, output_length: 2 },
        {
          request_id: 'r',
          wait_for: ['p', 'q'],
          delay: 1,
          tool_wait_ms: 2,
          input_length: 6,
          output_length: 2,
        },
      ),
    );
    expect(requests[2]).toMatchObject({ after: [0, 1], thinkNs: 3e6, arrivalNs: 1e6 });
    const unknown = lines({ timestamp: 0, wait_for: ['z'], input_length: 1, output_length: 1 });
    await expect(readText(unknown)).rejects.toThrow('x:1: wait_for: "z" is no earlier request_id');
    const single = lines({ timestamp: 0, wait_for: 'z', input_length: 1, output_length: 1 });
    await expect(readText(single)).rejects.toThrow(
      'x:1: wait_for: expected a list of ids, got "z"',
    );
  });

  it('leaves out requests without answers, and says where blocks and prompts do not fit', async () => {
    const row = (hash_ids: number[], more: object = {}): object => ({
      timestamp: 0,
      input_length: 1000,
      output_length: 5,
      hash_ids,
      ...more,
    });
    const notesOf = async (options: object, ...rows: object[]) => {
      const notes: string[] = [];
      const requests = await readText(lines(...rows), {
        ...options,
        onNote: (note: string) => notes.push(note),
      });
      return { count: requests.length, notes };
    };
    const failed = row([9], { output_length: 0 });
    expect(await notesOf({}, row([1]), failed, row([1, 2]))).toEqual({
      count: 2,
      notes: ['left out 1 rows: no output tokens (failed requests)'],
    });
    const misfit =
      /^2 rows have more or fewer hash_ids than their prompts have blocks of 512 tokens/;
    const odd = await notesOf({}, row([1, 2, 3]), row([]), row([1, 2]));
    expect(odd).toEqual({ count: 3, notes: [expect.stringMatching(misfit)] });
    expect((await notesOf({ blockTokens: 400 }, row([1, 2, 3]))).notes).toEqual([]);
  });

  it('a failed request takes no time for those that wait for it', async () => {
    const row = (more: object, output_length = 5): object => ({
      input_length: 7,
      output_length,
      ...more,
    });
    const starts = async (...rows: object[]) =>
      (await readText(lines(...rows))).map((r) => [r.id, r.arrivalNs, r.after, r.thinkNs]);
    // In a session and by name: what it waited for, and its delay on top.
    const turns = [row({ session_id: 'a', timestamp: 1 }), row({ session_id: 'a', delay: 2 }, 0)];
    expect(await starts(...turns, row({ session_id: 'a', delay: 4 }))).toEqual([
      [0, 1e6, undefined, undefined],
      [1, 1e6, [0], 6e6],
    ]);
    const named = [
      row({ request_id: 'p', timestamp: 1 }),
      row({ request_id: 'q', wait_for: ['p'], delay: 2 }, 0),
      row({ request_id: 'r', wait_for: ['p', 'q'], delay: 4 }),
    ];
    expect(await starts(...named)).toEqual([
      [0, 1e6, undefined, undefined],
      [1, 1e6, [0], 6e6],
    ]);
    // Nothing came before: the time of the failed one, and the own delay once.
    const first = row({ session_id: 'a', timestamp: 1, delay: 9 }, 0);
    const second = row({ session_id: 'a', delay: 2 }, 0);
    expect(await starts(first, second, row({ session_id: 'a', delay: 4 }))).toEqual([
      [0, 7e6, undefined, undefined],
    ]);
  });

  it('delta: lengths and hashes add up per session', async () => {
    const requests = await readText(
      lines(
        { session_id: 'a', timestamp: 0, input_length: 512, output_length: 10, hash_ids: [1] },
        { session_id: 'a', timestamp: 9, input_length: 500, output_length: 10, hash_ids: [2] },
      ),
      { format: 'mooncake-delta' },
    );
    expect(requests[1]).toMatchObject({ promptTokens: 1022, prefix: { of: 0, tokens: 512 } });
    const failing = await readText(
      lines(
        { session_id: 'a', timestamp: 0, input_length: 512, output_length: 10, hash_ids: [1] },
        { session_id: 'a', timestamp: 5, input_length: 512, output_length: 0, hash_ids: [2] },
        { session_id: 'a', timestamp: 9, input_length: 500, output_length: 10, hash_ids: [3] },
      ),
      { format: 'mooncake-delta' },
    );
    expect(failing.map((r) => r.promptTokens)).toEqual([512, 1534]);
  });

  it('refuses Qwen-Bailian, whose units are not certain', async () => {
    const row = { chat_id: 1, timestamp: 0, input_length: 5, output_length: 2, hash_ids: [1] };
    await expect(readText(lines(row))).rejects.toThrow('units are not certain');
  });
});
