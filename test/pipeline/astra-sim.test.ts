/**
 * Goal: stock ASTRA-sim can be the machine. Method: `system-simulator` under ASTRA-sim's flags stands in
 * for the binary; where instances do not share links, its answers must be those of our own machine but
 * for whole microseconds. A binary that fails or prints nothing is blamed.
 */
import { describe, expect, test } from 'vitest';
import { besideOurs } from './beside-ours.js';
import { binOf, contents, inFolder, isBuilt, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

const binary = `${process.execPath} ${binOf('system-simulator')}`;

describe.skipIf(!isBuilt)('--carrier astra-sim (needs a build)', () => {
  test.each([0, 1])('cluster %i: steps take as long as on our machine', (index) =>
    inFolder(async (folder) => {
      const scenario = { ...scenarios[index], requests: 1 };
      const flags = ['--carrier', 'astra-sim', '--system-simulator', binary];
      const { expected, found, theirs } = await besideOurs(folder, scenario, flags);
      expect(found.length).toBe(expected.length);
      found.forEach(({ startNs, finishNs, npus }, i) => {
        const duration = expected[i].finishNs - expected[i].startNs;
        expect(Math.abs(finishNs - startNs - duration) / duration).toBeLessThan(1e-3);
        expect(npus.length).toBe(expected[i].npus.length);
      });
      const manifest = JSON.parse(contents(theirs)['run.json']);
      expect(manifest.options.systemSimulator).toBe(binary);
    }),
  );

  test.each([
    [
      'printed no line',
      'true',
      /^serving-loop: astra-sim \(true .*\) printed no "sys\[0\] finished"/,
    ],
    ['exit code', 'false', /^serving-loop: astra-sim \(false .*\) ended with exit code 1/],
  ])('a binary that fails: %s', (_, command, says) =>
    inFolder(async (folder) => {
      const inputs = writeScenario(folder, { ...scenarios[0], requests: 1 });
      const outcome = await run('serving-loop', [
        ...[...inputs, '--carrier', 'astra-sim', '--system-simulator', command],
      ]);
      expect(outcome.stderr).toMatch(says);
      expect(outcome).toMatchObject({ code: 2 });
    }),
  );
});
