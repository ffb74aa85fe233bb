/**
 * Goal: input that cannot be right gets one clear line with its place, exit code 2, no stack trace, and
 * no results. Method: the real commands on a table of spoilt inputs.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { contents, inFolder, isBuilt, type Outcome, root, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

const profile = 'RTXPRO6000/meta-llama/Llama-3.1-8B/bf16';
const rawBundle = join(root, '../shared/refdata/llmservingsim/v1/profiles', profile);

/** Changes the files of a good run in `folder`. @returns more flags */
type Spoil = (folder: string) => readonly string[];

interface Case {
  readonly name: string;
  readonly spoil: Spoil;
  /** What the line says after `serving-loop: ` and the folder. */
  readonly says: RegExp;
}

function edit(file: string, change: (json: Json) => void): Spoil {
  return (folder) => {
    const path = join(folder, file);
    const json = JSON.parse(readFileSync(path, 'utf8'));
    change(json);
    writeFileSync(path, JSON.stringify(json));
    return [];
  };
}

interface Json {
  [key: string]: Json;
}

const instance = (cluster: Json): Json => cluster.nodes[0 as never].instances[0 as never];

function set(place: Json, key: string, value: unknown): void {
  (place as Record<string, unknown>)[key] = value;
}

function replace(file: string, text: string): Spoil {
  return (folder) => {
    writeFileSync(join(folder, file), text);
    return [];
  };
}

function requests(...lines: readonly string[]): Spoil {
  return replace('workload.ndjson', lines.join('\n'));
}

/** Shipped profile, copied and changed. */
function profiles(change: (json: Json) => void): Spoil {
  return (folder) => {
    const path = join(folder, 'profiles', `${profile}.json`);
    mkdirSync(dirname(path), { recursive: true });
    cpSync(join(root, 'profiles', `${profile}.json`), path);
    edit(`profiles/${profile}.json`, change)(folder);
    return ['--profiles', join(folder, 'profiles')];
  };
}

const request = (more: Record<string, unknown>): string =>
  JSON.stringify({ id: 'a', arrivalNs: 0, promptTokens: 9, outputTokens: 2, ...more });

const cases: readonly Case[] = [
  {
    name: 'missing cluster file',
    spoil: () => ['--cluster-config', 'no-such.json'],
    says: /^no-such\.json: no such file$/,
  },
  {
    name: 'missing workload',
    spoil: () => ['--workload', 'no-such.ndjson'],
    says: /^no-such\.ndjson: no such file$/,
  },
  {
    name: 'missing profiles',
    spoil: () => ['--profiles', 'no-such'],
    says: /^no-such: no such directory$/,
  },
  {
    name: 'wrong JSON',
    spoil: replace('cluster.json', '{\n  "num_nodes": 1,\n'),
    says: /cluster\.json:3:1: not valid JSON: /,
  },
  {
    name: 'unknown key',
    spoil: edit('cluster.json', (cluster) => set(instance(cluster), 'tp_sise', 1)),
    says: /cluster\.json: nodes\[0\]\.instances\[0\]: unknown key "tp_sise"\n {2}hint: did you mean "tp_size"\?$/,
  },
  {
    name: 'wrong type',
    spoil: edit('cluster.json', (cluster) => set(instance(cluster), 'tp_size', 'two')),
    says: /cluster\.json: nodes\[0\]\.instances\[0\]\.tp_size: expected number, received string$/,
  },
  {
    name: 'a TP degree that the profile lacks',
    spoil: edit('cluster.json', (cluster) => set(instance(cluster), 'tp_size', 8)),
    says: /no measurements at TP 8\n {2}hint: it has TP 1, 2$/,
  },
  {
    name: 'a layer that the profile lacks',
    spoil: profiles((json) => {
      delete json.tp['1'].dense.down_proj;
    }),
    says: /down_proj/,
  },
  {
    name: 'hardware without a profile',
    spoil: edit('cluster.json', (cluster) => set(instance(cluster), 'hardware', 'RTXPRO9000')),
    says: /cluster\.json: nodes\[0\]\.instances\[0\]: .*: no profile for hardware "RTXPRO9000"/,
  },
  {
    name: 'a model that nobody knows',
    spoil: edit('cluster.json', (cluster) => set(instance(cluster), 'model_name', 'org/Some')),
    says: /cluster\.json: nodes\[0\]\.instances\[0\]\.model_name: model "org\/Some" is unknown/,
  },
  {
    name: 'a model file that is not there',
    spoil: edit('cluster.json', (cluster) => set(instance(cluster), 'model_name', 'm.json')),
    says: /cluster\.json: nodes\[0\]\.instances\[0\]\.model_name: .*m\.json: no such file$/,
  },
  {
    name: 'a PIM device that nobody knows',
    spoil: edit('cluster.json', (cluster) => {
      set(instance(cluster), 'enable_attn_offloading', true);
      set(cluster.nodes[0 as never].cpu_mem, 'pim_config', 'HBM9');
    }),
    says: /cluster\.json: nodes\[0\]\.cpu_mem\.pim_config: PIM device "HBM9" is unknown/,
  },
  {
    name: 'a table of measured links that is not there',
    spoil: edit('cluster.json', (cluster) => set(cluster, 'measured_links', [{ file: 'l.json' }])),
    says: /cluster\.json: measured_links\[0\]\.file: .*l\.json: no such file$/,
  },
  {
    name: 'a model larger than the memory',
    spoil: edit('cluster.json', (cluster) => set(instance(cluster).npu_mem, 'mem_size', 12)),
    says: /Llama-3\.1-8B does not fit on RTXPRO6000: .* GiB/,
  },
  {
    name: 'power beyond all numbers',
    spoil: edit('cluster.json', (cluster) =>
      set(cluster.nodes[0 as never], 'power', { base_node_power: 1e308, npu: {} }),
    ),
    says: /cluster\.json: nodes\[0\]\.power\.base_node_power: expected number to be <=1000000000000000, got 1e\+308/,
  },
  {
    name: 'a storage beyond all numbers',
    spoil: edit('cluster.json', (cluster) =>
      set(cluster.nodes[0 as never], 'storage', { mem_size: 1e308, mem_bw: 5 }),
    ),
    says: /cluster\.json: nodes\[0\]\.storage\.mem_size: expected number to be <=1000000000000000, got/,
  },
  {
    name: 'a draft model that takes an age',
    spoil: edit('cluster.json', (cluster) => {
      set(instance(cluster), 'speculative_tokens', 3);
      set(instance(cluster), 'speculative_draft_ns', 9e15);
    }),
    says: /warmUp of a step is 27000000000000000 ns or bytes, expected at most 2\^53/,
  },
  {
    name: 'a request longer than the context',
    spoil: requests(request({}), request({ id: 'b', promptTokens: 200_000 })),
    says: /^request b: prompt 200000 \+ output 2 tokens exceed the context of 131072 tokens/,
  },
  {
    name: 'a negative arrival',
    spoil: requests(request({ arrivalNs: -5 })),
    says: /workload\.ndjson:1: arrivalNs: expected number to be >=0, got -5$/,
  },
  {
    name: 'arrivals out of order',
    spoil: requests(request({ arrivalNs: 50 }), request({ arrivalNs: 10 })),
    says: /workload\.ndjson:2: arrival 10 ns is before the previous request's 50 ns/,
  },
  {
    name: 'a request cut short',
    spoil: requests(request({}), '{"id":"b","arriv'),
    says: /workload\.ndjson:2: not a complete JSON object/,
  },
  {
    name: 'an empty workload file',
    spoil: requests(''),
    says: /workload\.ndjson: /,
  },
  {
    name: 'a stage command that needs a shell',
    spoil: () => ['--system-simulator', 'tee log | system-simulator'],
    says: /^--system-simulator: "\|" needs a shell/,
  },
  {
    name: 'a stage that does not exist',
    spoil: () => ['--system-simulator', 'no-such-stage --fast'],
    says: /^system-simulator \(no-such-stage --fast\) could not be started: no such command/,
  },
];

/** Two lines at most (the second a hint), a place, no stack. */
function refused(outcome: Outcome, command: string, says: RegExp): void {
  const [head, ...rest] = outcome.stderr.trimEnd().split('\n');
  expect(head).toMatch(new RegExp(`^${command}: `));
  expect(rest.filter((line) => !/^ {2}(hint: |\| )/.test(line))).toEqual([]);
  expect(outcome.stderr.trimEnd().slice(command.length + 2)).toMatch(says);
  expect(outcome.code).toBe(2);
}

describe.skipIf(!isBuilt)('bad input (needs a build)', () => {
  test.each(cases)('$name', ({ spoil, says }) =>
    inFolder(async (folder) => {
      const flags = writeScenario(folder, { ...scenarios[0], requests: 2 });
      const more = spoil(folder);
      const output = join(folder, 'out');
      const outcome = await run('serving-loop', [...flags, ...more, '--output', output]);
      refused(outcome, 'serving-loop', says);
      expect(outcome.stdout.toString()).toBe('');
      const left = existsSync(output) ? contents(output) : {};
      for (const name of Object.keys(left)) expect(name).toBe('run.json');
      if (left['run.json'] !== undefined) {
        expect(JSON.parse(left['run.json']).complete).toBe(false);
      }
    }),
  );

  test.each([
    ['unknown flag', ['--nope', '3'], /unknown option '--nope'/],
    ['a number that is none', ['--block-size', '0'], /--block-size.*expected an integer >= 1/s],
    ['no flags at all', [], /required option '--cluster-config <file>'/],
  ] as const)('usage: %s', (_, flags, says) =>
    inFolder(async (folder) => {
      const good = writeScenario(folder, { ...scenarios[0], requests: 2 });
      const outcome = await run('serving-loop', flags.length === 0 ? [] : [...good, ...flags]);
      expect(outcome.stderr).toMatch(says);
      expect(outcome.stderr).not.toMatch(/\n\s+at /);
      expect(outcome).toMatchObject({ code: 2 });
    }),
  );

  test.skipIf(!existsSync(rawBundle))('Arrow profile cut short (needs ../shared)', () =>
    inFolder(async (folder) => {
      const flags = writeScenario(folder, { ...scenarios[0], requests: 2 });
      const path = join(folder, 'profiles', `${profile}.arrow`);
      mkdirSync(dirname(path), { recursive: true });
      expect(await run('profiler-ingest', ['import', rawBundle, '-o', path])).toMatchObject({
        code: 0,
      });
      const whole = readFileSync(path);
      for (const length of [2000, whole.length - 1000]) {
        writeFileSync(path, whole.subarray(0, length));
        const more = ['--profiles', join(folder, 'profiles')];
        const outcome = await run('serving-loop', [...flags, ...more]);
        refused(outcome, 'serving-loop', new RegExp(`bf16\\.arrow: byte ${length}: .*cut short`));
      }
    }),
  );

  test('traces cut short: the byte and the node', () =>
    inFolder(async (folder) => {
      const flags = writeScenario(folder, { ...scenarios[0], requests: 2 });
      const streams = join(folder, 'streams');
      await run('serving-loop', ['--quiet', ...flags, '--keep', streams]);
      const whole = readFileSync(join(streams, 'system-simulator.in.et'));
      const input = whole.subarray(0, whole.length >> 1);
      const outcome = await run('system-simulator', flags.slice(0, 2), { input });
      refused(
        outcome,
        'system-simulator',
        /^stdin: graph \d+, node \d+, byte \d+: input ends within/,
      );
      const lines = await run('trace-generator', flags.slice(0, 2), { input: '{"instance":0,' });
      refused(lines, 'trace-generator', /^stdin:1: not a complete JSON object/);
      expect(lines.stdout.length).toBe(0);
    }));

  test.each([
    [
      'system-simulator',
      ['--cluster-config', 'c.json', '--repair', 'trueChunks'],
      /^--repair: goes with --workload-configuration, not with --cluster-config$/,
    ],
    [
      'report',
      ['timeline', 'run', '--from', '2.5', '--to', '2'],
      /^--to: expected more than .* 2\.5, got 2$/,
    ],
    ['serving-loop', ['--replay', 'none'], /^none\/trace-generator\.in\.ndjson: no such file$/],
  ] as const)('%s: flags that cannot go together: %j', (command, flags, says) =>
    inFolder(async (folder) => {
      const good = writeScenario(folder, { ...scenarios[0], requests: 2 });
      const more = command === 'serving-loop' ? good : [];
      refused(await run(command, [...flags, ...more], { input: '' }), command, says);
    }),
  );

  test('what ASTRA-sim would read and we do not is named', async () => {
    const flags = ['--workload-configuration', 'w', '--system-configuration', 's', '--repiar', 'x'];
    const outcome = await run('system-simulator', flags);
    expect(outcome.stderr).toMatch(/^system-simulator: not read: --repiar x\n/);
  });

  test('a calibration on the measured run of another workload', () =>
    inFolder(async (folder) => {
      const flags = writeScenario(folder, { ...scenarios[0], requests: 2 });
      const row = {
        request_id: 'r0',
        input_toks: 7,
        output_toks: 2,
        arrival_time: 1,
        queued_ts: 1,
      };
      const more = { scheduled_ts: 1, first_token_ts: 2, last_token_ts: 3 };
      writeFileSync(join(folder, 'requests.jsonl'), JSON.stringify({ ...row, ...more }));
      const profiles = ['--profiles', join(root, 'profiles')];
      const outcome = await run('report', ['calibrate', ...flags, ...profiles, '--real', folder]);
      refused(outcome, 'report', /request r0 has 7 \+ 2 tokens measured and 40 \+ 3 simulated/);
    }));

  test('a wait longer than timers hold is as long as they hold', () =>
    inFolder(async (folder) => {
      const flags = writeScenario(folder, { ...scenarios[0], requests: 2 });
      const wait = ['--carrier', 'pipe', '--stage-timeout', '1e300', '--quiet'];
      const outcome = await run('serving-loop', [...flags, ...wait]);
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
    }));

  test('a service that could serve none of its requests', () =>
    inFolder(async (folder) => {
      const flags = writeScenario(folder, { ...scenarios[0], requests: 2 });
      const request = { id: 1, arrivalNs: 0, promptTokens: 10_000_000, outputTokens: 1 };
      const outcome = await run('serving-loop', [...flags, '--unservable', 'reject', '--quiet'], {
        input: '',
      });
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      writeFileSync(join(folder, 'workload.ndjson'), JSON.stringify(request));
      expect(
        await run('serving-loop', [...flags, '--unservable', 'reject', '--quiet'], { input: '' }),
      ).toMatchObject({ code: 1, stderr: 'serving-loop: none of 1 requests was served\n' });
    }));
});
