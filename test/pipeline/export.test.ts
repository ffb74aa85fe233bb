/**
 * Goal: exported runs are what other simulators read, and say what we said. Method: runs of several
 * kinds of cluster are exported whole and run by `system-simulator` under ASTRA-sim's own flags; each
 * NPU must finish when it did in our run, but for durations in whole microseconds and the way ASTRA-sim
 * times what happens between NPUs. Files also go through our lint and Debian's protoc.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeGraph } from '@astrolabe/chakra';
import { describe, expect, test } from 'vitest';
import { has, inFolder, isBuilt, launch, root, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

const proto = join(root, 'proto/et_def.proto');

async function exported(folder: string, index: number, flags: readonly string[]): Promise<string> {
  const to = join(folder, 'export');
  const inputs = writeScenario(folder, scenarios[index]);
  const outcome = await run('serving-loop', [
    ...['--quiet', ...inputs, '--output', join(folder, 'out')],
    ...['--export-dir', to, ...flags],
  ]);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  return to;
}

/** Finish time of each NPU, as ASTRA-sim prints it. */
async function astraFinishNs(folder: string, workload: string): Promise<number[]> {
  const outcome = await run(
    'system-simulator',
    [
      `--workload-configuration=${workload}`,
      '--network-configuration=network.yml',
      '--system-configuration=system.json',
      '--remote-memory-configuration=memory.json',
      '--comm-group-configuration=groups.json',
    ],
    { cwd: folder },
  );
  expect(outcome).toMatchObject({ code: 0 });
  const finish: number[] = [];
  for (const match of outcome.stdout.toString().matchAll(/sys\[(\d+)\] finished, (\d+) cycles/g)) {
    finish[Number(match[1])] = Number(match[2]);
  }
  return finish;
}

/** Finish time of each NPU's last iteration in our run. */
function ourFinishNs(folder: string): number[] {
  const finish: number[] = [];
  for (const line of readFileSync(join(folder, 'out/completions.ndjson'), 'utf8').split('\n')) {
    if (line === '') continue;
    for (const { npu, finishNs } of JSON.parse(line).npus) {
      finish[npu] = Math.max(finish[npu] ?? 0, finishNs);
    }
  }
  return finish;
}

/** ASTRA-sim cannot say what a topology of domains and cards says, and has no measured links. */
const flat = scenarios.flatMap(({ name, cluster }, index) =>
  ['topology', 'measured_links'].some((key) => key in (cluster as object))
    ? []
    : [[name, index] as const],
);

describe.skipIf(!isBuilt)('exports (need a build)', () => {
  test.each(flat)('a whole run of %s under ASTRA-sim ends as ours did', (_, index) =>
    inFolder(async (folder) => {
      const to = await exported(folder, index, ['--export', 'chakra-astra']);
      const lint = await run('chakra', [
        ...['lint', '--target', 'astra-sim'],
        ...[join(to, 'run'), '--groups', join(to, 'groups.json')],
      ]);
      expect(lint).toMatchObject({ code: 0 });
      const theirs = await astraFinishNs(to, 'run');
      ourFinishNs(folder).forEach((ours, npu) => {
        expect(Math.abs(theirs[npu] - ours) / ours, `NPU ${npu}`).toBeLessThan(2e-4);
      });
    }),
  );

  test('one iteration: a graph for every NPU, its batch on the first node, work on all', () =>
    inFolder(async (folder) => {
      const to = await exported(folder, 2, [
        '--export',
        'chakra-1.0',
        '--export-scope',
        'iteration',
      ]);
      const place = join(to, '1.0');
      expect(readdirSync(place).sort()).toEqual(['trace.0.et', 'trace.1.et']);
      const graph = decodeGraph(readFileSync(join(place, 'trace.1.et')));
      expect(graph.metadata.version).toBe('1.0.0');
      const first = Object.fromEntries(graph.extra.get(0)!.map(({ name, value }) => [name, value]));
      expect(first).toMatchObject({ instance: 1, iteration: 0, phase: 'prefill' });
      const node = graph.strings.indexOf('layer0.o_proj');
      const row = graph.name.indexOf(node);
      const tokens = Number((first.new_tokens as number[])[0]);
      // o_proj of Llama-3.1-8B: t x 4096 by 4096 x 4096.
      expect(graph.numOps[row]).toBe(2 * tokens * 4096 * 4096);
      expect(graph.tensorSizeBytes[row]).toBe((2 * tokens * 4096 + 4096 * 4096) * 2);
      expect((await astraFinishNs(to, '1.0/trace')).length).toBe(2);
    }));

  test('text traces: as many rows as they say, sizes of a product by hand', () =>
    inFolder(async (folder) => {
      const to = await exported(folder, 1, ['--export', 'llmservingsim']);
      const lines = readFileSync(join(to, '0.0.txt'), 'utf8').trimEnd().split('\n');
      expect(lines[0]).toBe('COLOCATED\t\tmodel_parallel_NPU_group: 1');
      expect(Number(lines[1])).toBe(lines.length - 3);
      const rows = lines.slice(3).map((line) => line.trim().split(/\s+/));
      for (const row of rows) expect(row).toHaveLength(11);
      const product = rows.find(([name]) => name.startsWith('layer0.o_proj_'))!;
      // Qwen3-32B at TP 2: 40 tokens x 32 heads x 128, by a hidden size of 5120, bf16.
      expect(product.slice(2)).toEqual([
        ...['LOCAL', String(40 * 4096 * 2), 'LOCAL', String(4096 * 5120 * 2)],
        ...['LOCAL', String(40 * 5120 * 2), 'ALLREDUCE', String(40 * 5120 * 2), 'NONE'],
      ]);
    }));

  test.skipIf(!has('protoc')).each([
    ['chakra-astra', '0.0.4'],
    ['chakra-1.0', '1.0.0'],
  ])('protoc reads %s (needs protoc)', (format, version) =>
    inFolder(async (folder) => {
      const to = await exported(folder, 0, ['--export', format, '--export-scope', 'iteration']);
      const bytes = readFileSync(join(to, '0.0/trace.0.et'));
      // A file is length and message in turn; protoc takes one message.
      let at = 0;
      const messages: Buffer[] = [];
      while (at < bytes.length) {
        let length = 0;
        for (let factor = 1; ; factor *= 128) {
          length += (bytes[at] & 127) * factor;
          if (bytes[at++] < 128) break;
        }
        messages.push(bytes.subarray(at, at + length));
        at += length;
      }
      const decode = (type: string, input: Uint8Array) =>
        launch('protoc', [`--decode=ChakraProtoMsg.${type}`, '-I', join(root, 'proto'), proto], {
          input,
        });
      const head = await decode('GlobalMetadata', messages[0]);
      expect(head.stdout.toString()).toContain(`version: "${version}"`);
      for (const message of [messages[1], messages[5], messages[messages.length - 1]]) {
        const outcome = await decode('Node', message);
        expect(outcome).toMatchObject({ code: 0, stderr: '' });
        expect(outcome.stdout.toString()).toContain('type: COMP_NODE');
        // A number alone would be a field that the schema does not know.
        expect(outcome.stdout.toString()).not.toMatch(/^\s*\d+:/m);
      }
    }),
  );

  test('ranks that share experts: every rank has every step', () =>
    inFolder(async (folder) => {
      const workload = join(folder, 'w.ndjson');
      const one = { arrivalNs: 0, promptTokens: 40, outputTokens: 3 };
      const requests = [
        { id: 0, ...one },
        { id: 1, ...one, promptTokens: 9, outputTokens: 2 },
      ];
      writeFileSync(workload, requests.map((request) => JSON.stringify(request)).join('\n'));
      const outcome = await run('serving-loop', [
        ...['--cluster-config', join(root, 'cluster_config/moe-dp2-tp2-ep4-all-to-all.json')],
        ...['--workload', workload, '--quiet', '--export', 'chakra-astra', '--export-dir', folder],
      ]);
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      const groups = join(folder, 'groups.json');
      const lint = await run('chakra', [
        ...['lint', '--target', 'astra-sim', join(folder, 'run'), '--groups', groups],
      ]);
      expect(lint).toMatchObject({ code: 0 });
    }));

  test.each([
    ['chakra-astra', ''],
    ['chakra-1.0', ''],
    ['chakra-astra', '--enable-sub-batch-interleaving'],
  ])('attention in memory is refused in one line (%s %s)', (format, more) =>
    inFolder(async (folder) => {
      const outcome = await run('serving-loop', [
        ...['--cluster-config', join(root, 'cluster_config/pim-hbm2.json'), '--quiet'],
        ...['--workload', join(root, 'cluster_config/workloads/sharegpt-like-300.ndjson')],
        ...['--export', format, '--export-dir', folder, ...(more === '' ? [] : [more])],
      ]);
      expect(outcome).toMatchObject({ code: 2 });
      expect(outcome.stderr).toMatch(
        /enable_attn_offloading: ASTRA-sim has no PIM\n {2}hint: .*\n$/,
      );
      expect(readdirSync(folder)).toEqual([]);
    }),
  );
});
