/** What `workload` says of a workload that is wrong throughout, or not what was asked for. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inFolder, isBuilt, root, run } from './commands.js';

describe.skipIf(!isBuilt)('workload (needs a build)', () => {
  test('a run and a search say what they left out of a trace', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'burstgpt.csv');
      const rows = ['1,a,10,2,12,b', '2,a,10,0,10,b', '3,a,10,2,12,b'];
      const head = 'Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type';
      writeFileSync(path, [head, ...rows].join('\n'));
      const cluster = join(root, 'cluster_config/rtxpro6000.json');
      const left = /note: left out 1 rows: no output tokens \(failed requests\)$/m;
      const serving = ['--cluster-config', cluster, '--workload', path];
      expect((await run('serving-loop', serving)).stderr).toMatch(left);
      expect((await run('serving-loop', [...serving, '--quiet'])).stderr).toBe('');
      const search = ['capacity', cluster, '--workload', path, '--rates', '1:1', '--seconds', '1'];
      expect((await run('report', search)).stderr).toMatch(left);
    });
  });

  test('lint shows the first findings of a rule and counts the rest', async () => {
    const rows = Array.from({ length: 30 }, (_, i) => `${1_700_000_000 + i},3,2`);
    const input = ['arrived_at,num_prefill_tokens,num_decode_tokens', ...rows].join('\n');
    const { code, stdout, stderr } = await run('workload', ['lint', '--limit', '2'], { input });
    expect(code).toBe(1);
    const lines = stdout.toString().trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(
      /^<stdin>:2: error: .* beyond 104 days; .*--start-at-zero.* \[arrival\]$/,
    );
    expect(lines[2]).toMatch(/\[no-content\]$/);
    expect(stderr).toMatch(/30 errors, 1 warnings, 28 of them not shown: see --limit/);
  });

  test('generate says that a shape was asked for which the preset does not have', async () => {
    const asked = ['generate', '--requests', '3', '--preset', 'code'];
    const shaped = await run('workload', [...asked, '--shape', 'sessions']);
    expect(shaped).toMatchObject({ code: 0 });
    expect(shaped.stderr).toMatch(/--shape sessions, but conversations of code have one turn/);
    for (const flags of [[], ['--shape', 'single'], ['--shape', 'multi-turn', '--turns', '2']]) {
      expect(await run('workload', [...asked, ...flags])).toMatchObject({ code: 0, stderr: '' });
    }
  });
});
