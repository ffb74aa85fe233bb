// Goal: each format gives the same requests, and each bad file one line with its place.
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readWorkload } from './read-workload.js';

const dir = mkdtempSync(join(tmpdir(), 'workload-'));
afterAll(() => rmSync(dir, { recursive: true }));

function file(name: string, text: string | Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

const ours = [
  { id: 0, arrivalNs: 10, promptTokens: 4, outputTokens: 3 },
  { id: 1, arrivalNs: 20, promptTokens: 5, outputTokens: 1, prefix: { of: 0, tokens: 4 } },
];

const compact = `request,arrival_ns,input_toks,output_toks,prefix_parent,prefix_len
0,10,4,3,-1,0
1,20,5,1,0,4
`;

describe('readWorkload', () => {
  it('reads our NDJSON and the compact CSV, whatever the name, plain or gzip', async () => {
    const ndjson = `${ours.map((r) => JSON.stringify(r)).join('\n')}\n`;
    expect(await readWorkload(file('a.txt', ndjson))).toEqual(ours);
    expect(await readWorkload(file('b.jsonl', compact))).toEqual(ours);
    expect(await readWorkload(file('c.csv', `\uFEFF${compact.replaceAll('\n', '\r\n')}`))).toEqual(
      ours,
    );
    expect(await readWorkload(file('d.csv.gz', gzipSync(compact)))).toEqual(ours);
    for (const delimiter of [';', '\t']) {
      expect(await readWorkload(file('e.csv', compact.replaceAll(',', delimiter)))).toEqual(ours);
    }
  });

  it('reads LLMServingSim lines, flat and sessions mixed', async () => {
    const text = [
      { input_toks: 2, output_toks: 1, arrival_time_ns: 5.9, input_tok_ids: [3, 4] },
      {
        session_id: 's',
        arrival_time_ns: 7,
        sub_requests: [
          { input_toks: 3, output_toks: 2, tool_duration_ns: 40 },
          { input_toks: 6, output_toks: 1, tool_duration_ns: 99 },
        ],
      },
      { arrival_time_ns: 8, sub_requests: [] },
      { input_toks: 1, output_toks: 1, arrival_time_ns: 9 },
    ];
    const path = file('lss', text.map((line) => JSON.stringify(line)).join('\n'));
    expect(await readWorkload(path)).toEqual([
      { id: 0, arrivalNs: 5, promptTokens: 2, outputTokens: 1, promptTokenIds: [3, 4] },
      { id: 1, arrivalNs: 7, promptTokens: 3, outputTokens: 2, session: 's' },
      {
        id: 2,
        arrivalNs: 7,
        promptTokens: 6,
        outputTokens: 1,
        session: 's',
        after: [1],
        thinkNs: 40,
      },
      { id: 3, arrivalNs: 9, promptTokens: 1, outputTokens: 1 },
    ]);
  });

  const line = (fields: object): string =>
    `${JSON.stringify({ id: 0, arrivalNs: 0, promptTokens: 1, outputTokens: 1, ...fields })}\n`;
  const header = 'request,arrival_ns,input_toks,output_toks,prefix_parent,prefix_len\n';

  it.each([
    ['empty', ' \n', 'x: is empty'],
    ['header only', header, 'x: no requests'],
    ['negative arrival', line({ arrivalNs: -1 }), 'x:1: arrivalNs: expected number to be >=0'],
    [
      'unsorted',
      line({ arrivalNs: 5 }) + line({ id: 1, arrivalNs: 4 }),
      "x:2: arrival 4 ns is before the previous request's 5 ns",
    ],
    ['duplicate id', line({}) + line({ id: '0' }), 'x:2: id "0" occurs twice'],
    ['zero tokens', `${header}0,1,5,0,-1,0\n`, 'x:2: output tokens must be an integer of 1 to'],
    ['negative CSV arrival', `${header}0,-3,5,1,-1,0\n`, 'x:2: arrival must be an integer >= 0'],
    [
      'unknown parent',
      `${header}0,1,5,1,7,2\n`,
      'x:2: prefix parent 7 is not the id of an earlier',
    ],
    ['own parent', `${header}0,1,5,1,0,2\n`, 'x:2: prefix parent 0 is not the id of an earlier'],
    [
      'prefix beyond the parent',
      `${header}0,1,2,1,-1,0\n1,1,9,1,0,4\n`,
      'x:3: prefix of 4 tokens is longer than its parent 0 (3 tokens',
    ],
    [
      'prefix beyond itself',
      `${header}0,1,9,1,-1,0\n1,1,2,1,0,4\n`,
      'x:3: prefix of 4 tokens is longer than the request itself (3 tokens)',
    ],
    ['unknown key', line({ promptTokns: 3 }), 'x:1: unknown key "promptTokns"'],
    ['ids do not match', line({ promptTokenIds: [1, 2] }), 'x:1: 2 prompt token ids for 1 prompt'],
    [
      'unknown predecessor',
      line({ after: [3] }),
      'x:1: after 3 is not the id of an earlier request',
    ],
    ['think without after', line({ thinkNs: 3 }), 'x:1: thinkNs without after'],
    [
      'think beyond the clock',
      line({}) + line({ id: 1, after: [0], thinkNs: 2 ** 53 }),
      'x:2: thinkNs: expected',
    ],
    [
      'arrival beyond the clock',
      line({ arrivalNs: 1e18 }),
      'x:1: arrival 1000000000000000000 ns is',
    ],
    ['truncated line', `${line({})}{"id": 1, "arr`, 'x:2: not a complete JSON object'],
    ['other JSON', '{"a": 1}\n', 'x:1: not a workload we know: jsonl with keys a'],
    ['other CSV', 'a,b\n1,2\n', 'x:2: not a workload we know: csv with keys a, b'],
    ['ragged CSV', `${header}0,1,5\n`, 'x:2: Invalid Record Length'],
    ['word for a number', `${header}0,soon,5,1,-1,0\n`, 'x:2: arrival_ns: expected a number'],
    ['fraction', `${header}0,1.5,5,1,-1,0\n`, 'x:2: arrival_ns: expected an integer'],
  ])('refuses: %s', async (_name, text, message) => {
    const path = file('x', text);
    const error = await readWorkload(path).catch((reason: unknown) => reason);
    expect((error as Error).name).toBe('UserError');
    expect((error as Error).message.replace(`${dir}/`, '')).toContain(message);
  });

  it('refuses a missing file, a directory and a cut gzip file', async () => {
    await expect(readWorkload(join(dir, 'none'))).rejects.toThrow('none: no such file');
    await expect(readWorkload(dir)).rejects.toThrow('is a directory');
    const cut = gzipSync(compact.repeat(50)).subarray(0, 60);
    await expect(readWorkload(file('cut.gz', cut))).rejects.toThrow('not a complete gzip file');
  });
});

const shared = new URL('../../../../../shared/refdata/llmservingsim/', import.meta.url).pathname;

describe.skipIf(!existsSync(shared))('reference workloads (needs ../shared)', () => {
  const folders = ['v0', 'v1'].map((v) => join(shared, v, 'workloads/compact'));
  const files = existsSync(shared)
    ? folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    : [];

  it('reads them all', async () => {
    expect(files.length).toBeGreaterThan(10);
    for (const path of files) {
      const requests = await readWorkload(path);
      expect(requests.length).toBeGreaterThan(0);
    }
  });

  it('finds the measured prompt tokens of figure 7', async () => {
    const path = join(folders[0], 'sharegpt_pulse_req50_n6_delay15_pc.csv');
    const requests = await readWorkload(path);
    const prompt = requests.reduce((sum, request) => sum + request.promptTokens, 0);
    expect(prompt).toBe(82645);
  });
});
