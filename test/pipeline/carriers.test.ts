/**
 * Goal: the carrier never changes a result. The same run goes through objects, pipes and files, with
 * its streams kept; results, streams, and every stage run again alone must be the same bytes.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { contents, inFolder, isBuilt, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

const kept = {
  asked: 'trace-generator.in.ndjson',
  graphs: 'system-simulator.in.et',
  control: 'system-simulator.in.ndjson',
  answered: 'system-simulator.out.ndjson',
};

async function serve(flags: readonly string[]): Promise<void> {
  const outcome = await run('serving-loop', ['--quiet', ...flags]);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
}

async function output(command: string, args: readonly string[], input: string): Promise<Buffer> {
  const outcome = await run(command, args, { input: readFileSync(input) });
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  return outcome.stdout;
}

describe.skipIf(!isBuilt)('in-process = pipe = files = replay (needs a build)', () => {
  test.each(scenarios)('$name', (scenario) =>
    inFolder(async (folder) => {
      const inputs = writeScenario(folder, scenario);
      const at = (name: string): string => join(folder, name);
      const streams = at('streams');
      await serve([...inputs, '--output', at('inside'), '--keep', streams]);
      await Promise.all([
        serve([...inputs, '--output', at('plain')]),
        serve([
          ...[...inputs, '--output', at('piped')],
          ...['--carrier', 'pipe', '--keep', at('piped-streams')],
        ]),
        serve([
          ...[...inputs, '--output', at('filed')],
          ...['--carrier', 'files', '--keep', at('files')],
        ]),
        serve([...inputs, '--output', at('replayed'), '--replay', streams]),
      ]);

      const results = contents(at('inside'));
      expect(JSON.parse(results['run.json']).complete).toBe(true);
      const { measuredLinks } = JSON.parse(results['summary.json']).trust;
      const fromTable = measuredLinks?.communications.measured ?? 0;
      expect(fromTable > 0).toBe(scenario.name.includes('measured links'));
      expect(contents(at('plain'))).toEqual(results);
      expect(contents(at('piped'))).toEqual(results);
      expect(contents(at('filed'))).toEqual(results);
      expect(contents(at('replayed'))).toEqual(results);
      expect(contents(at('piped-streams'))).toEqual(contents(streams));

      const asked = join(streams, kept.asked);
      const answered = readFileSync(join(streams, kept.answered));
      const cluster = inputs.slice(0, 2);
      const machine = [...cluster, '--calibration', 'shipped'];
      const control = join(at('files'), kept.control);
      const [graphs, again, fromFiles] = await Promise.all([
        output('trace-generator', cluster, asked),
        output('system-simulator', machine, join(streams, kept.graphs)),
        output('system-simulator', [...machine, '--control'], control),
      ]);
      expect(graphs.equals(readFileSync(join(streams, kept.graphs)))).toBe(true);
      expect(again.equals(answered)).toBe(true);
      expect(fromFiles.equals(answered)).toBe(true);
    }),
  );
});
