/**
 * Goal: the capture script's files are what `profiler-ingest` reads, whatever PyTorch wrote them.
 * Method: its sample by PyTorch 2.13, and fresh runs where a python3 has PyTorch (Debian's python3-torch
 * is 1.13): grids as asked for, expert models, two processes, power with a stand-in for nvidia-smi.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { has, inFolder, isBuilt, launch, type Outcome, root, run } from './commands.js';

const script = join(root, 'tools/torch-profiler/capture.py');
const sample = join(root, 'tools/torch-profiler/sample');
const config = join(sample, 'config.json');
const names = ['--hardware', 'CPU', '--model', 'example/tiny-moe', '--dtype', 'fp32'];
const python = ['python3', '/usr/bin/python3'].find(
  (name) => spawnSync(name, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0,
);
const quick = ['--device', 'cpu', '--repeats', '1', '--contexts', '0,64', '--sequences', '1,2'];

function capture(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  return launch(python ?? 'python3', [script, ...args], { env: { OMP_NUM_THREADS: '1', ...env } });
}

async function inspected(input: string, folder: string): Promise<string> {
  const table = join(folder, 'table.arrow');
  const imported = await run('profiler-ingest', ['import', input, ...names, '-o', table]);
  expect(imported.stderr).toBe('');
  return (await run('profiler-ingest', ['inspect', table])).stdout.toString();
}

/** Lines of `inspect` that name operators and their grids, without times. */
function grids(text: string): string[] {
  const lines = text.split('\n').filter((line) => / points?\b.*\.\./.test(line));
  return lines.map((line) => line.replace(/, [\d.e+]+\.\.[\d.e+]+ us$/, '').trim());
}

describe.skipIf(!isBuilt)('files of a capture (need a build)', () => {
  test('sample: CSV and trace hold the same operators on the same grids', () =>
    inFolder(async (folder) => {
      const csv = await inspected(join(sample, 'operators.csv'), folder);
      const trace = await inspected(join(sample, 'trace.json.gz'), folder);
      expect(csv).toMatch(/measurement +wall_clock\nrows +34\n/);
      expect(trace).toMatch(/measurement +wall_clock\nrows +34\n/);
      expect(grids(csv)).toContain(
        'attention          mixed             4 points of a 1 x 2 x 2 x 1 grid (100 %): 16..16 x 0..512 x 1..8 x 512..512',
      );
      expect(grids(trace)).toEqual(grids(csv));
      // A row of the CSV, by hand: latency_us is the last column.
      const rows = readFileSync(join(sample, 'operators.csv'), 'utf8').split('\r\n');
      const times = rows
        .filter((row) => row.startsWith('o_proj,'))
        .map((row) => row.split(',')[11]);
      const line = csv.split('\n').find((text) => text.startsWith('  o_proj'));
      expect(line).toContain(times.map((us) => Number(us).toPrecision(4)).join('..'));
    }));

  test.skipIf(!has('python3'))('errors are one line and name the cause (needs python3)', () =>
    inFolder(async (folder) => {
      const latent = join(folder, 'latent.json');
      writeFileSync(latent, JSON.stringify({ model_type: 'deepseek_v3' }));
      const to = ['--output', join(folder, 'out')];
      const cases: [string[], RegExp][] = [
        [to, /--config is required/],
        [['--config', 'nowhere.json', ...to], /No such file or directory: 'nowhere\.json'/],
        [['--config', script, ...to], /Expecting value: line 1/],
        [['--config', latent, ...to], /model_type "deepseek_v3" cannot be captured/],
        [['--config', config, ...to, '--tp', '3'], /num_attention_heads of 4 cannot be divided by/],
        [['--config', config, ...to, '--dtype', 'fp8'], /--dtype "fp8" cannot be captured/],
        [
          ['--config', config, ...to, '--tokens', 'x'],
          /argument --tokens: invalid list like 1,16,64/,
        ],
        [['--config', config, ...to, '--experts', '9'], /--experts 9: the model has 8/],
      ];
      for (const [args, expected] of cases) {
        const { code, stderr, stdout } = await capture(args);
        expect(stderr).toMatch(/^capture\.py: .*\n$/);
        expect(stderr).toMatch(expected);
        expect([code, stdout.length]).toEqual([2, 0]);
      }
      const help = await capture(['--help']);
      expect(help.stdout.toString()).toMatch(/examples:\n {2}python3 capture\.py --config/);
    }),
  );

  test.skipIf(!has('python3'))('without PyTorch: one line (needs python3)', async () => {
    // -S leaves out installed packages.
    const outcome = await launch('python3', [
      '-S',
      script,
      '--config',
      config,
      '--output',
      '/nonexistent',
    ]);
    expect(outcome.stderr).toMatch(/^capture\.py: needs PyTorch 1\.13 or later: .*\n$/);
    expect(outcome.code).toBe(2);
  });
});

describe.skipIf(!isBuilt || python === undefined)('capture.py (needs python3 with torch)', () => {
  test('a fresh capture of an expert model, TP 2', () =>
    inFolder(async (folder) => {
      const grid = ['--tokens', '1,4,16', '--experts', '2,8', '--tp', '2', '--seed', '3'];
      const outcome = await capture(['--config', config, '--output', folder, ...quick, ...grid]);
      expect(outcome.stdout.toString()).toBe('');
      expect(outcome.code).toBe(0);
      const about = JSON.parse(readFileSync(join(folder, 'capture.json'), 'utf8'));
      expect(about).toMatchObject({ dtype: 'float32', tp: 2, seed: 3 });
      const trace = await inspected(join(folder, 'trace.json.gz'), folder);
      expect(trace).toContain('TP 2\n');
      expect(trace).toMatch(/ qk_norm +dense +3 points, 1\.\.16 tokens/);
      // Of 1, 2, 4, 8, 16 tokens with 2 experts each, 8 experts are reached from 4 tokens on.
      expect(trace).toMatch(/ moe +8 points: 1\.\.16 tokens x 2\.\.8 experts/);
      expect(grids(await inspected(join(folder, 'operators.csv'), folder))).toEqual(grids(trace));
      const check = ['check', join(folder, 'table.arrow'), '--model', config, '--tp', '2'];
      const checked = await run('profiler-ingest', check);
      expect(checked.stdout.toString()).toBe('missing operators  none\n');
    }));

  test('power meanwhile, as nvidia-smi writes it', () =>
    inFolder(async (folder) => {
      const lines = ['timestamp, index, utilization.gpu [%], power.draw [W]'];
      for (let second = 10; second < 20; second++) {
        const busy = second >= 13 && second < 17;
        lines.push(
          `2026/01/01 00:00:${second}.000, 0, ${busy ? '99 %, 310.00 W' : '0 %, 60.00 W'}`,
        );
      }
      // Stopped in the middle of a line, as happens.
      const text = `${lines.join('\n')}\n2026/01/01 00:0`;
      const command = join(folder, 'nvidia-smi');
      writeFileSync(command, `#!/bin/sh\nprintf '%s' '${text}'\nexec sleep 60\n`);
      chmodSync(command, 0o755);
      const grid = ['--tokens', '1', '--experts', '2', '--idle-seconds', '0.3'];
      const env = { PATH: `${folder}:${process.env.PATH}` };
      const outcome = await capture(
        ['--config', config, '--output', folder, ...quick, ...grid],
        env,
      );
      expect(outcome.code, outcome.stderr).toBe(0);
      const power = await run('profiler-ingest', ['power', join(folder, 'power.csv')]);
      expect(JSON.parse(power.stdout.toString())).toMatchObject({
        idlePowerWatts: 60,
        activePowerWatts: 310,
        readings: 10,
      });
    }));

  test('collectives of two processes', () =>
    inFolder(async (folder) => {
      const port = String(20_000 + (process.pid % 20_000));
      const env = { WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: port };
      const args = ['--output', folder, '--device', 'cpu', '--repeats', '1'];
      const both = await Promise.all(['0', '1'].map((RANK) => capture(args, { ...env, RANK })));
      expect(both.map(({ code }) => code)).toEqual([0, 0]);
      const text = await inspected(join(folder, 'collectives.csv'), folder);
      expect(text).toContain('all_reduce of 2, 2 a node           13 sizes, 1024..4194304 bytes');
      expect(text).toContain('send_recv of 2, 2 a node            13 sizes, 1024..4194304 bytes');
    }));
});
