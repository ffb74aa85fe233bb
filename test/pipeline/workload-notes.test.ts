/** What `workload` says of a workload that is wrong throughout, or not what was asked for. */
import { describe, expect, test } from 'vitest';
import { isBuilt, run } from './commands.js';

describe.skipIf(!isBuilt)('workload (needs a build)', () => {
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
