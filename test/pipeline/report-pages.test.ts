/** Goal: whatever a cluster records can be drawn, KV between instances included. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inFolder, isBuilt, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

describe.skipIf(!isBuilt)('pages and timelines (needs a build)', () => {
  test.each(scenarios)('$name', (scenario) =>
    inFolder(async (folder) => {
      const inputs = writeScenario(folder, scenario);
      const at = (name: string): string => join(folder, name);
      const silent = { code: 0, stderr: '' };
      const serving = ['--quiet', ...inputs, '--output', at('run')];
      expect(await run('serving-loop', serving)).toMatchObject(silent);
      const page = await run('report', ['html', at('run'), '-o', at('run.html')]);
      expect(page).toMatchObject(silent);
      const drawn = await run('report', ['timeline', at('run'), '-o', at('run.json')]);
      expect(drawn).toMatchObject(silent);
      const { traceEvents } = JSON.parse(readFileSync(at('run.json'), 'utf8'));
      const moves = traceEvents.filter(({ cat }: { cat?: string }) => cat === 'kv');
      expect(moves.length > 0).toBe(/P\/D|tier/.test(scenario.name));
      const late = await run('report', ['timeline', at('run'), '--from', '1e6']);
      expect(late.code).toBe(2);
      expect(late.stderr).toMatch(/^report: --from: 1000000 s is after the last step, .* s$/m);
      expect(late.stdout).toHaveLength(0);
    }),
  );
});
