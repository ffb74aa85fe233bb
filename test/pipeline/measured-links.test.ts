/**
 * Goal: a measurement in a file ends up in a run. Method: the real commands, from a CSV of Vidur's
 * form through an Arrow profile to a size table to a cluster, and what is refused on the way.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inFolder, isBuilt, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

const scenario = scenarios.find(({ name }) => name.includes('measured links'));

/** All-reduces of `workers` and messages, 10 us and a byte per 50 ns, two ranks a row. */
function csvOf(collective: string, workers: number): string {
  const header = `time_stats.${collective}.median,rank,num_workers,size,collective,devices_per_node`;
  const rows = [4096, 65_536, 1_048_576].flatMap((size) =>
    [0, 1].map((rank) => {
      const ms = 0.01 + size / 50e6 + (rank - 0.5) * 0.002;
      return `${ms},${rank},${workers},${size},${collective},${workers}`;
    }),
  );
  return `${[header, ...rows].join('\n')}\n`;
}

async function ingest(...args: string[]) {
  const outcome = await run('profiler-ingest', args);
  return { ...outcome, stdout: outcome.stdout.toString() };
}

describe.skipIf(!isBuilt)('measured links (need a build)', () => {
  test('CSV to Arrow to table to run', () =>
    inFolder(async (folder) => {
      const at = (name: string): string => join(folder, name);
      if (scenario === undefined) throw new Error('no scenario');
      const flags = writeScenario(folder, scenario);
      writeFileSync(at('all_reduce.csv'), csvOf('all_reduce', 2));
      writeFileSync(at('send_recv.csv'), csvOf('send_recv', 2));
      const csvs = [at('all_reduce.csv'), at('send_recv.csv')];
      const names = ['--hardware', 'X', '--model', 'a/b'];
      await ingest('import', ...csvs, ...names, '-o', at('links.arrow'));
      const table = at('links/pairs.json');
      const fromArrow = await ingest('collectives', at('links.arrow'), '-o', table);
      expect(fromArrow).toMatchObject({ code: 0, stderr: '' });
      // Two rounds of half the size: 10 us less three endpoints, and 50 bytes per ns.
      expect(fromArrow.stdout).toContain('ring      "link_latency": 4985, "link_bw": 46.57');
      expect(fromArrow.stdout).toContain('message   "link_latency": 10000, "link_bw": 46.57');
      const fromCsv = await ingest('collectives', ...csvs);
      expect(fromCsv.stdout).toBe(fromArrow.stdout);
      const fromTable = await ingest('collectives', table);
      expect(fromTable.stdout).toBe(fromArrow.stdout);
      expect(JSON.parse(readFileSync(table, 'utf8')).curves[0]).toEqual({
        collective: 'all_reduce',
        participants: 2,
        devices_per_node: 2,
        size_bytes: [4096, 65_536, 1_048_576],
        duration_ns: [10_082, 11_311, 30_972],
      });
      const served = await run('serving-loop', flags);
      expect(served.code).toBe(0);
      expect(served.stdout.toString()).toMatch(
        /links {9}measured, links\/pairs\.json: Vidur .*\nlinks {9}\d{3,} collectives and messages timed/,
      );
    }));

  test.each<[string, string[], RegExp]>([
    [
      'ASTRA-sim in place of ours',
      ['--carrier', 'astra-sim', '--system-simulator', 'x'],
      /measured_links: ASTRA-sim has no measured links/,
    ],
    [
      'an export for ASTRA-sim',
      ['--export', 'chakra-astra', '--export-dir', 'out'],
      /measured_links: ASTRA-sim has no measured links/,
    ],
  ])('are refused with %s', (_, more, message) =>
    inFolder(async (folder) => {
      if (scenario === undefined) throw new Error('no scenario');
      const outcome = await run('serving-loop', [
        '--quiet',
        ...writeScenario(folder, scenario),
        ...more,
      ]);
      expect(outcome.code).toBe(2);
      expect(outcome.stderr).toMatch(message);
    }),
  );

  test.each(['in-process', 'pipe', 'files'])(
    'a missing table ends the run at once (%s)',
    (carrier) =>
      inFolder(async (folder) => {
        if (scenario === undefined) throw new Error('no scenario');
        const flags = writeScenario(folder, { ...scenario, files: {} });
        const outcome = await run('serving-loop', ['--quiet', ...flags, '--carrier', carrier]);
        expect(outcome.code).toBe(2);
        expect(outcome.stderr).toMatch(/links\/pairs\.json: no such file/);
        expect(outcome.stderr.trim().split('\n')).toHaveLength(1);
      }),
  );

  test('damaged measurements are refused with file and line', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'all_reduce.csv');
      writeFileSync(path, csvOf('all_reduce', 2).replace(',65536,', ',6553x,'));
      const outcome = await ingest('collectives', path);
      expect(outcome.code).toBe(2);
      expect(outcome.stderr).toContain(`${path}:4`);
      const json = join(folder, 'links.json');
      writeFileSync(json, '{"source": "x", "curves": [{"collective": "all_reduce"}]}');
      const broken = await ingest('collectives', json);
      expect(broken.stderr).toContain(`${json}: curves[0].participants: `);
    }));
});
