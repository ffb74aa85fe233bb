/**
 * Goal: the trust card claims nothing for another program, and all as ever where the program is ours,
 * whatever its command looks like. Method: our own commands as the user's stages, plain, behind `tee`,
 * and behind a `sed` that takes out what they say of themselves.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { binOf, contents, inFolder, isBuilt, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

interface Setup {
  readonly generator: string;
  readonly simulator: string;
  readonly serve: (name: string, flags?: readonly string[]) => Promise<Record<string, string>>;
  readonly at: (name: string) => string;
}

/** A scenario whose devices are calibrated, and our commands for it. */
async function inSetup(body: (setup: Setup) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const scenario = scenarios[0];
    const inputs = writeScenario(folder, { ...scenario, requests: 6 });
    const at = (name: string): string => join(folder, name);
    const cluster = inputs.slice(0, 2).join(' ');
    const serve: Setup['serve'] = async (name, flags = []) => {
      const all = ['--quiet', ...inputs, ...flags, '--output', at(name)];
      expect(await run('serving-loop', all)).toMatchObject({ code: 0, stderr: '' });
      return contents(at(name));
    };
    const command = (tool: string): string => `${process.execPath} ${binOf(tool)} ${cluster}`;
    const simulator = `${command('system-simulator')} --calibration shipped`;
    await body({ generator: command('trace-generator'), simulator, serve, at });
  });
}

const trustOf = (results: Record<string, string>) => JSON.parse(results['summary.json']).trust;
const silent = (command: string, key: string): string =>
  `sh -c '${command} | sed -u "s/,.${key}.:[^,]*}$/}/"'`;

describe.skipIf(!isBuilt)('the trust card of other stages (needs a build)', () => {
  test('ours by another command line: the card of a run in one process', () =>
    inSetup(async ({ generator, simulator, serve }) => {
      const inside = await serve('inside');
      expect(trustOf(inside)).toMatchObject({ basis: 'fitted' });
      expect(trustOf(inside).intervals90).not.toBeNull();
      const watched = await serve('watched', ['--system-simulator', `sh -c 'tee | ${simulator}'`]);
      expect(watched['summary.json']).toBe(inside['summary.json']);
      const named = await serve('named', [
        ...['--trace-generator', generator, '--system-simulator', simulator],
      ]);
      // Only what our generator counts at its end stays with it.
      const uncounted = { extrapolatedShare: null, profiles: null };
      expect(trustOf(named)).toEqual({ ...trustOf(inside), ...uncounted });
      expect(named['requests.csv']).toBe(inside['requests.csv']);
    }));

  test('a simulator that does not say that it is ours', () =>
    inSetup(async ({ simulator, serve, at }) => {
      const inside = await serve('inside');
      const command = `sh -c '${simulator} | sed -u "s/,.by.:{[^}]*}//"'`;
      const other = await serve('other', ['--system-simulator', command, '--keep', at('keep')]);
      expect(other['requests.csv']).toBe(inside['requests.csv']);
      expect(JSON.parse(other['summary.json']).fitted).toEqual([]);
      const { foreignStages, ...trust } = trustOf(other);
      expect(Object.keys(foreignStages)).toEqual(['systemSimulator']);
      expect(foreignStages.systemSimulator).toContain('sed -u');
      // Operator times are still from our profiles.
      const { profiles, extrapolatedShare } = trustOf(inside);
      expect(trust).toMatchObject({ basis: 'predicted', intervals90: null });
      expect(trust).toMatchObject({ profiles, extrapolatedShare });
      const replayed = await serve('replayed', ['--replay', at('keep')]);
      expect(replayed['summary.json']).toBe(other['summary.json']);
    }));

  test('a generator that does not say that it is ours', () =>
    inSetup(async ({ generator, simulator, serve, at }) => {
      const inside = await serve('inside');
      const files = `${generator} --output ${at('step')}`;
      const other = await serve('other', [
        ...['--carrier', 'files', '--trace-generator', silent(files, 'writtenBy')],
        ...['--system-simulator', `${simulator} --control`],
      ]);
      expect(other['requests.csv']).toBe(inside['requests.csv']);
      const { foreignStages, ...trust } = trustOf(other);
      expect(Object.keys(foreignStages)).toEqual(['traceGenerator']);
      expect(trust).toMatchObject({ basis: 'predicted', intervals90: null, profiles: null });
      expect(
        JSON.parse(readFileSync(join(at('other'), 'summary.json'), 'utf8')).lookups,
      ).toBeNull();
    }));
});
