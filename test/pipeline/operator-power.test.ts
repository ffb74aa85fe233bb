/**
 * Goal: powers that a profile measured per operator are what a run draws, whatever carries the stages.
 * Method: a CSV with the same power for all operators must give what that power gives as a constant.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inFolder, isBuilt, root, run } from './commands.js';

const dense = ['embedding', 'layernorm', 'qkv_proj', 'rotary_emb', 'o_proj', 'gate_up_proj'].concat(
  ['act_fn', 'down_proj', 'final_layernorm'],
);

/** Kind, operator, tokens, context, sequences, decode context, us. */
function* rows(): Generator<readonly (string | number)[]> {
  for (const operator of dense) {
    for (const tokens of [1, 64, 2048])
      yield ['dense', operator, tokens, '', '', '', 20 + tokens / 10];
  }
  for (const operator of ['lm_head', 'sampler']) {
    for (const sequences of [1, 256]) yield ['per_sequence', operator, '', '', sequences, '', 90];
  }
  for (const [tokens, sequences] of [
    [0, 1],
    [0, 256],
    [64, 0],
    [2048, 0],
    [64, 256],
    [2048, 256],
  ]) {
    for (const context of [16, 16384]) {
      const us = 5 + tokens / 20 + sequences / 10 + context / 1000;
      yield [
        ...['attention', 'attention', tokens, tokens > 0 ? context : 0, sequences],
        ...[sequences > 0 ? context : 0, us],
      ];
    }
  }
}

function csv(powerOf: ((operator: string) => number) | undefined): string {
  const header =
    'kind,operator,tp,tokens,context_tokens,sequences,decode_context_tokens,latency_us';
  const lines = [...rows()].map(([kind, operator, tokens, context, sequences, decode, us]) => {
    const line = [kind, operator, 1, tokens, context, sequences, decode, us];
    return (powerOf === undefined ? line : [...line, powerOf(String(operator))]).join();
  });
  return `${[powerOf === undefined ? header : `${header},power_w`, ...lines].join('\n')}\n`;
}

async function energyOf(
  folder: string,
  activeW: number,
  powerOf: ((operator: string) => number) | undefined,
  ...flags: readonly string[]
) {
  const model = 'meta-llama/Llama-3.1-8B';
  const profiles = join(folder, 'profiles');
  mkdirSync(join(profiles, 'RTXPRO6000', model), { recursive: true });
  const [table, clusterFile] = [join(folder, 'table.csv'), join(folder, 'cluster.json')];
  writeFileSync(table, csv(powerOf));
  const imported = await run('profiler-ingest', [
    ...['import', table, '--hardware', 'RTXPRO6000', '--model', model, '--dtype', 'bf16'],
    ...['-o', join(profiles, 'RTXPRO6000', model, 'bf16.arrow')],
  ]);
  expect(imported.code, imported.stderr).toBe(0);
  const cluster = JSON.parse(readFileSync(join(root, 'cluster_config/power.json'), 'utf8'));
  cluster.nodes[0].power.npu.RTXPRO6000.active_power = activeW;
  writeFileSync(clusterFile, JSON.stringify(cluster));
  const requests = await run('workload', ['generate', '--shape', 'single', '--requests', '6']);
  writeFileSync(join(folder, 'requests.ndjson'), requests.stdout);
  const { code, stdout, stderr } = await run('serving-loop', [
    ...['--cluster-config', clusterFile, '--workload', join(folder, 'requests.ndjson')],
    ...['--profiles', profiles, '--calibration', 'none', '--summary-format', 'json', ...flags],
  ]);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout.toString()).power;
}

describe.skipIf(!isBuilt)('power of operators (needs a build)', () => {
  test('the same for all is that power as a constant', () =>
    inFolder(async (folder) => {
      const constant = await energyOf(folder, 300, undefined);
      const measured = await energyOf(folder, 560, () => 300);
      expect(constant.byOperator).toBeUndefined();
      expect(measured.byOperator).toEqual(['RTXPRO6000']);
      expect(measured.energyJ).toBeCloseTo(constant.energyJ, 6);
      for (const [name, joules] of Object.entries<number>(constant.componentsJ)) {
        expect(measured.componentsJ[name], name).toBeCloseTo(joules, 6);
      }
    }));

  test("lies between the operators', and is the same in pipes", () =>
    inFolder(async (folder) => {
      const power = (operator: string): number => (operator === 'down_proj' ? 500 : 200);
      const [low, high] = [
        await energyOf(folder, 200, undefined),
        await energyOf(folder, 500, undefined),
      ];
      const here = await energyOf(folder, 560, power);
      expect(here.energyJ).toBeGreaterThan(low.energyJ * 1.01);
      expect(here.energyJ).toBeLessThan(high.energyJ * 0.99);
      expect(await energyOf(folder, 560, power, '--carrier', 'pipe')).toEqual(here);
    }));
});
