/**
 * Goal: whatever a stage does, the loop ends within its timeout, says which stage it was and how it
 * went, and leaves nothing running. Method: a kept run is played back by two processes, one of which
 * fails at a random point in a random way; seeded, the seed of a failing trial is in its name.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '@astrolabe/base';
import { FrameWatcher, PipeBackend } from '@astrolabe/serving-loop/cli';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { binOf, contents, inFolder, isBuilt, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

const numTrials = 208;
const atOnce = 8;
/** Longer than a process takes to start on a busy machine. */
const timeoutMs = 6000;
const script = fileURLToPath(new URL('./faulty-stage.mjs', import.meta.url));

const roles = ['generator', 'simulator'] as const;
const loud = ['kill', 'exit', 'garbage', 'cut', 'orphan'] as const;
const silent = ['stall', 'mute'] as const;
type Fault = (typeof loud)[number] | (typeof silent)[number];
/** Silent ones take the whole timeout, so there are fewer of them. */
const faults: readonly Fault[] = [...loud, ...loud, ...silent];

/** What the message must say about each fault. */
const sentences: Record<Fault, RegExp> = {
  kill: /was ended by SIGKILL/,
  exit: /ended with exit code 7 .*\n {2}\| .* is ready\n {2}\| I give up\n?$/,
  stall: /did not answer within 6 s/,
  garbage: /no graph stream: byte \d+|gave a wrong answer: line \d+/,
  cut: /ended with exit code 0 before the run was over/,
  mute: /did not answer within 6 s/,
  orphan: /was ended by SIGKILL/,
};

let folder = '';
let asked: string[] = [];
let numAnswers = 0;

beforeAll(async () => {
  if (!isBuilt) return;
  folder = mkdtempSync(join(tmpdir(), 'astrolabe-faults-'));
  const inputs = writeScenario(folder, { ...scenarios[0], requests: 4 });
  const outcome = await run('serving-loop', ['--quiet', ...inputs, '--keep', folder]);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  asked = readFileSync(join(folder, 'trace-generator.in.ndjson'), 'utf8').trimEnd().split('\n');
  numAnswers = asked.filter((line) => line.includes('advanceNs')).length;
});

afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

function stage(role: string, fault: string, position: number) {
  const words = [process.execPath, script, role, folder, fault, String(position)];
  return { words, foreign: true };
}

/** Asks what the kept run asked. @returns how it failed, or undefined */
async function conversation(generator: string[], simulator: string[]): Promise<string | undefined> {
  const backend = new PipeBackend({
    generator: { words: generator, foreign: true },
    simulator: { words: simulator, foreign: true },
    timeoutMs,
    watcher: new FrameWatcher(),
  });
  try {
    for (const line of asked) {
      const record = JSON.parse(line);
      if (record.advanceNs === undefined) backend.submit(record);
      else if (record.advanceNs === Number.MAX_SAFE_INTEGER) await backend.next(Infinity);
      else await backend.next(record.advanceNs);
    }
    await backend.close();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Processes of this test that still run. */
function leftovers(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        return command.includes(folder) ? [command.replaceAll('\0', ' ')] : [];
      } catch {
        return [];
      }
    });
}

async function trial(seed: number): Promise<void> {
  const random = new Random(seed, 'faults');
  const role = roles[random.below(roles.length)];
  const fault = faults[random.below(faults.length)];
  const position = random.below(numAnswers);
  const at = (name: string): string[] =>
    stage(name, name === role ? fault : 'none', position).words;
  const message = await conversation(at('generator'), at('simulator'));
  const name = `trial ${seed}: ${role}, ${fault} at ${position}`;
  expect(message, name).toMatch(sentences[fault]);
  const blamed = role === 'generator' ? 'trace-generator' : 'system-simulator';
  expect(message, name).toMatch(new RegExp(`^${blamed} \\(`));
}

describe.skipIf(!isBuilt)('stages that fail (needs a build)', () => {
  test('the conversation without a fault is the kept one', async () => {
    const whole = (role: string): string[] => stage(role, 'none', 0).words;
    expect(await conversation(whole('generator'), whole('simulator'))).toBeUndefined();
  });

  test(`${numTrials} random faults: the right stage, its last words, nothing left running`, async () => {
    let seed = 0;
    const worker = async (): Promise<void> => {
      while (seed < numTrials) await trial(seed++);
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    expect(leftovers()).toEqual([]);
  }, 180_000);

  test.each([
    ['--system-simulator', 'simulator', 'exit'],
    ['--trace-generator', 'generator', 'kill'],
    ['--trace-generator', 'generator', 'garbage'],
  ])('the command with %s %s %s: exit code 2, results marked incomplete', (flag, role, fault) =>
    inFolder(async (place) => {
      const words = stage(role, fault, 3)
        .words.map((word) => `'${word}'`)
        .join(' ');
      const output = join(place, 'out');
      const keep = join(place, 'keep');
      const inputs = [
        ...['--cluster-config', join(folder, 'cluster.json')],
        ...['--workload', join(folder, 'workload.ndjson')],
      ];
      const outcome = await run('serving-loop', [
        ...[...inputs, flag, words, '--output', output, '--keep', keep],
        ...['--stage-timeout', '20'],
      ]);
      const blamed = role === 'generator' ? 'trace-generator' : 'system-simulator';
      expect(outcome.stderr).toMatch(new RegExp(`^serving-loop: ${blamed} \\(`));
      expect(outcome.stderr).toMatch(sentences[fault as Fault]);
      expect(outcome.stderr).not.toMatch(/\n\s+at /);
      expect(outcome).toMatchObject({ code: 2 });
      expect(outcome.stdout.toString()).toBe('');
      const results = contents(output);
      expect(Object.keys(results)).toEqual(['run.json']);
      const manifest = JSON.parse(results['run.json']);
      expect(manifest).toMatchObject({ complete: false });
      expect(manifest.error).toContain(blamed);
      expect(Object.keys(contents(keep)).every((name) => name.endsWith('.partial'))).toBe(true);
      expect(leftovers()).toEqual([]);
    }),
  );

  // A shell sees 128 and the signal's number of what a signal ends.
  test.each(['SIGTERM', 'SIGINT'] as const)('%s to the loop ends its stages, too', (signal) =>
    inFolder(async (place) => {
      const output = join(place, 'out');
      const temporary = join(place, 'tmp');
      mkdirSync(temporary);
      const words = stage('simulator', 'stall', 3)
        .words.map((word) => `'${word}'`)
        .join(' ');
      const child = spawn(
        process.execPath,
        [
          ...[binOf('serving-loop'), '--quiet', '--carrier', 'pipe', '--system-simulator', words],
          ...['--cluster-config', join(folder, 'cluster.json')],
          ...['--workload', join(folder, 'workload.ndjson')],
          ...['--output', output],
        ],
        { env: { ...process.env, TMPDIR: temporary } },
      );
      const ended = new Promise((resolve) => child.once('close', (_, by) => resolve(by)));
      // The loop's own command names the stage, too.
      const isStage = (command: string): boolean =>
        command.includes('faulty-stage') && !command.includes('serving-loop');
      while (!leftovers().some(isStage)) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      child.kill(signal);
      expect(await ended).toBe(signal);
      for (let i = 0; i < 100 && leftovers().length > 0; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(leftovers()).toEqual([]);
      expect(readdirSync(temporary)).toEqual([]);
      const results = contents(output);
      expect(Object.keys(results)).toEqual(['run.json']);
      const error = `ended by ${signal}`;
      expect(JSON.parse(results['run.json'])).toMatchObject({ complete: false, error });
    }),
  );
});
