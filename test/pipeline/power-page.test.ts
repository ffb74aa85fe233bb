/** The table of docs/power.md about a power cap is what the two workloads it names give. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inFolder, isBuilt, root, run } from './commands.js';

const text = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Cells behind the first of the line that starts so. */
function cellsOf(first: string): string[] {
  const line = text('docs/power.md')
    .split('\n')
    .find((one) => one.startsWith(`| ${first}`));
  return (line ?? '')
    .split('|')
    .slice(2, -1)
    .map((cell) => cell.trim());
}

/** So many equal requests at once on `power-capped`, with another cap or none. */
async function capped(
  folder: string,
  cap: string,
  count: number,
  promptTokens: number,
  outputTokens: number,
) {
  const cluster = JSON.parse(text('cluster_config/power-capped.json'));
  cluster.nodes[0].power.npu.RTXPRO6000.power_cap = cap === 'none' ? undefined : Number(cap);
  const files = [join(folder, 'cluster.json'), join(folder, 'requests.ndjson')];
  writeFileSync(files[0], JSON.stringify(cluster));
  const requests = Array.from({ length: count }, (_, id) =>
    JSON.stringify({ id, arrivalNs: 0, promptTokens, outputTokens }),
  );
  writeFileSync(files[1], requests.join('\n'));
  const flags = ['--cluster-config', files[0], '--workload', files[1]];
  const { stdout, stderr, code } = await run('serving-loop', [
    ...flags,
    '--summary-format',
    'json',
  ]);
  expect(code, stderr).toBe(0);
  const { ttftMs, tpotMs, power } = JSON.parse(stdout.toString());
  const { accelerator, acceleratorMemory } = power.componentsJ;
  const joules = (accelerator + acceleratorMemory) / (count * outputTokens);
  return { ttftMs: ttftMs.mean, tpotMs: tpotMs.mean, joules };
}

test.skipIf(!isBuilt)(
  'times and energy under each cap (needs a build)',
  async () => {
    const caps = cellsOf('`power_cap`');
    expect(caps).toHaveLength(6);
    const columns = await inFolder(async (folder) => {
      const found: string[][] = [];
      for (const cap of caps) {
        const alone = await capped(folder, cap, 1, 2000, 200);
        const many = await capped(folder, cap, 64, 500, 500);
        const times = [alone.ttftMs.toFixed(1), alone.tpotMs.toFixed(2), many.tpotMs.toFixed(2)];
        found.push([...times, many.joules.toFixed(3)]);
      }
      return found;
    });
    ['TTFT, 2000', 'TPOT, one', 'TPOT, 64', 'accelerator with'].forEach((row, i) => {
      expect(cellsOf(row), row).toEqual(columns.map((column) => column[i]));
    });
  },
  120_000,
);
