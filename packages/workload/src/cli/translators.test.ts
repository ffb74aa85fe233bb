// Goal: each foreign format gives the requests its documentation means; two or three rows each, by
// hand. Units are the traps: ms, us, 100 ns, seconds, epochs.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { estimateTokens } from '../formats/sharegpt.js';
import { type ReadWorkloadOptions, readWorkload } from './read-workload.js';

const dir = mkdtempSync(join(tmpdir(), 'translators-'));
afterAll(() => rmSync(dir, { recursive: true }));

function read(text: string, options: ReadWorkloadOptions = {}) {
  const path = join(dir, 'x');
  writeFileSync(path, text);
  return readWorkload(path, options);
}

const lines = (...rows: object[]): string => rows.map((row) => JSON.stringify(row)).join('\n');

/** id, arrivalNs, promptTokens, outputTokens */
const plain = (requests: Awaited<ReturnType<typeof read>>): unknown[] =>
  requests.map((r) => [r.id, r.arrivalNs, r.promptTokens, r.outputTokens]);

const clock = (): (() => number) => {
  let next = 0;
  return () => 1000 * next++;
};

describe('tables', () => {
  it('Vidur replay: seconds', async () => {
    const text =
      'arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.314579,396.0,109\n';
    expect(plain(await read(text))).toEqual([
      [0, 0, 374, 44],
      [1, 4314579000, 396, 109],
    ]);
  });

  it('Vidur lengths: arrivals must be given', async () => {
    const text = 'num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n5,2,7,2.5\n';
    await expect(read(text)).rejects.toThrow('x:2: this format has no arrival times');
    expect(plain(await read(text, { nextArrivalNs: clock() }))).toEqual([[0, 0, 5, 2]]);
  });

  it('Azure: 100 ns time stamps across midnight, from the first row', async () => {
    const text =
      'TIMESTAMP,ContextTokens,GeneratedTokens\n' +
      '2023-11-16 23:59:59.9799601,374,44\n2023-11-17 00:00:00.0000003,396,109\n';
    expect(plain(await read(text))).toEqual([
      [0, 0, 374, 44],
      [1, 20040200, 396, 109],
    ]);
    const later = text.replace('00:00:00.0000003', '00:00:00.000000300+00:00');
    expect((await read(later))[1].arrivalNs).toBe(20040200);
    for (const wrong of ['', '2023-11-31 ', '2023-13-01 ']) {
      await expect(read(text.replace('2023-11-17 ', wrong))).rejects.toThrow(
        'x:3: not a UTC time stamp',
      );
    }
    await expect(read(text.replace(' 00:00:00', ' 24:00:00'))).rejects.toThrow(
      'x:3: not a UTC time stamp',
    );
  });

  it('BurstGPT: failed requests are left out and counted', async () => {
    const text =
      'Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n' +
      '5,,1,ChatGPT,472,18,490,Conversation log\n' +
      '45.5,,0,ChatGPT,1087,0,1087,Conversation log\n118,,2,GPT-4,417,276,693,API log\n';
    const notes: string[] = [];
    let ignored: readonly string[] = [];
    const requests = await read(text, {
      onNote: (note) => notes.push(note),
      onFormat: (_format, keys) => {
        ignored = keys;
      },
    });
    expect(plain(requests)).toEqual([
      [0, 5e9, 472, 18],
      [1, 118e9, 417, 276],
    ]);
    expect(notes).toEqual(['left out 1 rows: no output tokens (failed requests)']);
    expect(ignored).toContain('Model');
  });

  it('splitwise-sim: seconds', async () => {
    const text =
      'request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n' +
      '0,2,0,0.25,1,100,9\n';
    expect(plain(await read(text))).toEqual([[0, 250e6, 100, 9]]);
  });

  it('BLIS: YAML header, us from the first row, prefix groups', async () => {
    const text =
      '---\nversion: 2\nserver:\n  model: x\n' +
      'request_id,session_id,slo_class,prefix_group,prefix_length,input_tokens,output_tokens,arrival_time_us\n' +
      '7,,gold,g,30,40,5,1000000\n8,s,gold,g,30,50,6,1000000.5\n';
    expect(await read(text)).toEqual([
      { id: 0, arrivalNs: 0, promptTokens: 40, outputTokens: 5, sloClass: 'gold' },
      {
        id: 1,
        arrivalNs: 500,
        promptTokens: 50,
        outputTokens: 6,
        session: 's',
        sloClass: 'gold',
        prefix: { of: 0, tokens: 30 },
      },
    ]);
    await expect(read(text.replace('1000000.5', 'x'))).rejects.toThrow('x:7: arrival_time_us');
  });
});

describe('Mooncake', () => {
  it('ms and blocks of 512, the last partial', async () => {
    const requests = await read(
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
    const requests = await read([row, near, row].join('\n'), { blockTokens: 16 });
    expect(requests.map((r) => r.prefix?.tokens)).toEqual([undefined, undefined, 30]);
  });

  it('sessions: a turn with a delay waits for the one before', async () => {
    const requests = await read(
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
    const requests = await read(
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
    await expect(read(unknown)).rejects.toThrow('x:1: wait_for: "z" is no earlier request_id');
    const single = lines({ timestamp: 0, wait_for: 'z', input_length: 1, output_length: 1 });
    await expect(read(single)).rejects.toThrow('x:1: wait_for: expected a list of ids, got "z"');
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
      const requests = await read(lines(...rows), {
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
    const awaited = row([1], { output_length: 0, request_id: 'a' });
    await expect(read(lines(awaited))).rejects.toThrow('output tokens must be an integer');
  });

  it('delta: lengths and hashes add up per session', async () => {
    const requests = await read(
      lines(
        { session_id: 'a', timestamp: 0, input_length: 512, output_length: 10, hash_ids: [1] },
        { session_id: 'a', timestamp: 9, input_length: 500, output_length: 10, hash_ids: [2] },
      ),
      { format: 'mooncake-delta' },
    );
    expect(requests[1]).toMatchObject({ promptTokens: 1022, prefix: { of: 0, tokens: 512 } });
  });

  it('refuses Qwen-Bailian, whose units are not certain', async () => {
    const row = { chat_id: 1, timestamp: 0, input_length: 5, output_length: 2, hash_ids: [1] };
    await expect(read(lines(row))).rejects.toThrow('units are not certain');
  });
});

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
    const requests = await read(lines(session('a'), session('b')), { nextArrivalNs: clock() });
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
    const requests = await read(lines(row), { nextArrivalNs: clock() });
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
    await expect(read(lines(row), options)).rejects.toThrow('x:1: group is missing');
  });

  it('a think time beyond the clock is refused', async () => {
    const row = {
      input_prompt_length: 100,
      assistant_response_length: [10],
      tool_call_output_length: [5],
      tool_call_latency: [1e308],
      final_assistant_response_length: 30,
    };
    await expect(read(lines(row), { nextArrivalNs: clock() })).rejects.toThrow(
      'x:1: thinkNs: expected an integer of 0 to 2^53 ns (104 days), got Infinity',
    );
  });

  it('rollouts of a group share the prompt', async () => {
    const requests = await read(
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

describe('results of load generators', () => {
  it('vLLM bench: seconds of perf_counter, failures left out, in one or many lines', async () => {
    const result = {
      duration: 3,
      input_lens: [5, 6, 7],
      output_lens: [1, 0, 3],
      start_times: [100.5, 100.2, 100.25],
    };
    const expected = [
      [0, 50e6, 7, 3],
      [1, 300e6, 5, 1],
    ];
    expect(plain(await read(JSON.stringify(result)))).toEqual(expected);
    expect(plain(await read(JSON.stringify(result, null, 2)))).toEqual(expected);
    const cut = JSON.stringify(result, null, 2).slice(0, -3);
    await expect(read(cut)).rejects.toThrow('x:1: not a complete JSON object');
  });

  it('AIPerf: epoch ns exactly, in order of start, warm-up and errors left out', async () => {
    const row = (ns: string, more = '', outputTokens = 2): string =>
      `{"metadata": {"request_start_ns": ${ns}, "benchmark_phase": "profiling"${more}}, "metrics": ` +
      '{"input_sequence_length": {"value": 8, "unit": "tokens"}, ' +
      `"output_sequence_length": {"value": ${outputTokens}, "unit": "tokens"}}, "error": null}`;
    const text = [
      row('1750000000000000004', '', 3),
      row('1750000000000000001'),
      row('1750000000000000002', ', "was_cancelled": true'),
      row('1750000000000000000', '', 0),
    ].join('\n');
    expect(plain(await read(text))).toEqual([
      [0, 0, 8, 2],
      [1, 3, 8, 3],
    ]);
    await expect(read(text.replaceAll('"tokens"', '"kilo"'))).rejects.toThrow('expected the unit');
  });

  it('a measured run: epoch seconds of arrival only', async () => {
    const row = { input_toks: 4, output_toks: 2, queued_ts: 1, request_id: 'bench-0' };
    const requests = await read(
      lines(
        { ...row, arrival_time: 1787267980.0 },
        { ...row, request_id: 'bench-1', arrival_time: 1787267980.25 },
      ),
    );
    expect(plain(requests)).toEqual([
      ['bench-0', 0, 4, 2],
      ['bench-1', 250e6, 4, 2],
    ]);
  });

  it('APEX: ns', async () => {
    const row = { StartTimeOffset: 12, ContextTokens: 3, GeneratedTokens: 4 };
    expect(plain(await read(lines(row)))).toEqual([[0, 12, 3, 4]]);
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
    const requests = await read(JSON.stringify(conversations, null, 1), { nextArrivalNs: () => 5 });
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
    const cut = read(text.slice(0, -9), { nextArrivalNs: () => 0 });
    await expect(cut).rejects.toThrow('x: [1]: the JSON array has no end');
    await expect(read('[{"conversations": nope}]')).rejects.toThrow('x: not valid JSON');
  });

  it('estimates tokens by word, digits, punctuation and CJK character', () => {
    expect(estimateTokens('')).toBe(0);
    expect(estimateTokens('internationalisation is 12345!!!')).toBe(4 + 1 + 2 + 2);
    expect(estimateTokens('\u4f60\u597d')).toBe(2);
  });
});

const vidur = new URL('../../../../../shared/refdata/vidur/processed_traces', import.meta.url)
  .pathname;

describe.skipIf(!existsSync(vidur))('Vidur traces (needs ../shared)', () => {
  it('reads all rows of the conversation trace', async () => {
    const requests = await readWorkload(join(vidur, 'splitwise_conv.csv.gz'));
    expect(requests.length).toBe(19366);
  });
});
