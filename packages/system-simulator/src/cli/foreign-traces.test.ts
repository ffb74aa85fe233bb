/**
 * Goal: traces that other tools wrote run on both kinds of machine, or fail with a line that helps.
 * Method: files as PyTorch's converter writes them (no version, process groups, gzip), through the
 * readers of the command line and the built command.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import {
  CollectiveType,
  type ExecutionGraph,
  encodeGraph,
  GraphBuilder,
  NodeType,
  writeNodeFields,
} from '@astrolabe/chakra';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { allRepairs } from '../astra/repairs.js';
import { runAstra } from '../astra/run.js';
import { defaultOptions } from './astra-files.test-helper.js';
import { type AstraFiles, readAstraInputs } from './astra-inputs.js';

const shipped = fileURLToPath(new URL('../../../../cluster_config/', import.meta.url));
const command = fileURLToPath(new URL('../../bin/system-simulator.js', import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL('../../dist/cli.js', import.meta.url)));
let folder = '';

/** A GEMM, then an all-reduce of 1 MiB over its pair of NPUs; the rank defines its own group. */
function rank(npu: number, names: readonly string[], version = ''): ExecutionGraph {
  const pair = npu < 2 ? 0 : 1;
  const groups = [
    { pg_name: '0', ranks: [] },
    { pg_name: names[pair], ranks: pair === 0 ? [0, 1] : [2, 3] },
  ];
  const builder = new GraphBuilder();
  const init = builder.addNode(NodeType.metadata, '## process_group:init ##');
  const values = `['${JSON.stringify(groups)}']`;
  builder.addFields(init, writeNodeFields({ inputs: { values, shapes: '', types: '' } }));
  const gemm = builder.addNode(NodeType.comp, 'gemm');
  builder.setDuration(gemm, 5000);
  const reduce = builder.addNode(NodeType.commColl, 'ncclDevKernel_AllReduce');
  builder.setCollective(reduce, CollectiveType.allReduce, 2 ** 20);
  builder.setGroup(reduce, names[pair]);
  builder.addDep(reduce, gemm);
  const attribute = (name: string): { name: string; kind: string; value: string } => ({
    name,
    kind: 'string_val',
    value: '1.0.2-chakra.0.0.4',
  });
  return builder.finish({ version, attributes: [attribute('schema'), attribute('time')] });
}

function write(prefix: string, count: number, names: readonly string[], gzip = false): string {
  const path = join(folder, prefix);
  for (let npu = 0; npu < count; npu++) {
    const bytes = encodeGraph(rank(npu, names));
    writeFileSync(`${path}.${npu}.et`, gzip ? gzipSync(bytes) : bytes);
  }
  return path;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'foreign-'));
  mkdirSync(join(folder, 'gz'));
  write('numbers', 4, ['1', '2']);
  write('hashes', 4, ['1e2f', '9c44']);
  write('same', 4, ['7', '7']);
  write('gz/numbers', 4, ['1', '2'], true);
  write('twelve', 12, ['1', '2']);
});
afterAll(() => rmSync(folder, { recursive: true }));

function files(prefix: string, more: Partial<AstraFiles> = {}): AstraFiles {
  return {
    workload: join(folder, prefix),
    system: `${shipped}astra/ring.json`,
    network: `${shipped}astra/Ring_4.yml`,
    remoteMemory: `${shipped}astra/no_memory.json`,
    ...defaultOptions,
    repairs: allRepairs(true),
    ...more,
  };
}

/**
 * Four chunks of 256 KiB over two neighbours, endpoint delay 10: messages of half a chunk there and
 * back, a reduction of it at 1600 GB/s, 50 GB/s of 2^30 and 500 ns a hop.
 */
const half = 2 ** 17;
const hop = Math.trunc(500 + half / ((50 * 2 ** 30) / 1e9));
const pairNs = 5000 + 4 * (30 + 2 * hop + 3 * Math.trunc(half / 1600));

describe("with ASTRA-sim's files", () => {
  test.each(['numbers', 'hashes', 'same', 'gz/numbers'])(
    'groups that the trace defines: %s',
    (prefix) => {
      for (const mode of ['default', 'compat'] as const) {
        const repairs = allRepairs(mode === 'default');
        const inputs = readAstraInputs(files(prefix, { mode, repairs }));
        const times = runAstra(inputs).results();
        expect(times.map(({ finishNs }) => finishNs)).toEqual([pairNs, pairNs, pairNs, pairNs]);
      }
    },
  );

  test('fewer traces than NPUs, or more', () => {
    const eight = { network: `${shipped}astra/Ring_8.yml` };
    expect(() => readAstraInputs(files('numbers', eight))).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/numbers\.4\.et: no such file$/),
        hint: 'the network has 8 NPUs; there are 4 traces',
      }),
    );
    const two = { network: `${shipped}astra/Ring_2.yml` };
    const said = 'numbers: there are 4 traces, but the network has 2 NPUs';
    expect(() => readAstraInputs(files('numbers', two))).toThrow(said);
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    readAstraInputs(files('numbers', { ...two, mode: 'compat' }));
    expect(stderr).toHaveBeenCalledWith(expect.stringContaining(said));
    stderr.mockRestore();
  });
});

test("unequal links are told where ASTRA-sim's way of reading passes them by", () => {
  const lines = ['topology: [Ring]', 'npus_count: [4]', 'bandwidth: [50]', 'latency: [500]'];
  const network = join(folder, 'links.yml');
  writeFileSync(network, [...lines, 'links:', '  - { npu: 0, bandwidth: 1 }', ''].join('\n'));
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  expect(readAstraInputs(files('numbers', { network })).network.links).toHaveLength(1);
  expect(stderr).not.toHaveBeenCalled();
  expect(
    readAstraInputs(files('numbers', { network, mode: 'compat' })).network.links,
  ).toBeUndefined();
  expect(stderr).toHaveBeenCalledWith(
    `system-simulator: ${network}: links are ours, and are not read without --compat off\n`,
  );
  stderr.mockRestore();
});

describe.skipIf(!isBuilt)('on a cluster (needs npm run build)', () => {
  function run(args: readonly string[]): { rc: number; out: string; err: string } {
    const cluster = ['--cluster-config', `${shipped}tp2-pp2.json`];
    const child = spawnSync(process.execPath, [command, ...cluster, ...args], { cwd: folder });
    return { rc: child.status ?? -1, out: child.stdout.toString(), err: child.stderr.toString() };
  }

  test('files, a prefix, gzip, and all in one stream are the same run', () => {
    const one = run(['numbers.0.et', 'numbers.1.et', 'numbers.2.et', 'numbers.3.et']);
    expect(one).toMatchObject({ rc: 0, err: '' });
    expect(JSON.parse(one.out).npus).toHaveLength(4);
    expect(run(['numbers'])).toEqual(one);
    expect(run(['gz/numbers'])).toEqual(one);
    expect(run(['same'])).toEqual(one);
    const stream = Buffer.concat([0, 1, 2, 3].map((npu) => encodeGraph(rank(npu, ['1', '2']))));
    writeFileSync(join(folder, 'stream'), stream);
    expect(run(['stream'])).toEqual(one);
  });

  test('the NPU is the one of the name, whatever the order', () => {
    const { out } = run(['numbers.3.et', 'numbers.2.et']);
    expect(JSON.parse(out).npus.map(({ npu }: { npu: number }) => npu)).toEqual([2, 3]);
    expect(run(['twelve']).err).toContain('NPU 4, but the machine has 4');
  });

  test('groups from a file come before those of the trace', () => {
    writeFileSync(join(folder, 'groups.json'), '{"1": [0, 1, 2, 3], "2": [2, 3]}');
    const { rc, err } = run(['numbers', '--comm-group-configuration', 'groups.json']);
    expect(rc).toBe(1);
    expect(err).toContain('collective 0 of group [0,1,2,3] (ALL_REDUCE, 1048576 bytes) misses');
  });

  test('a group that nobody defines', () => {
    const builder = new GraphBuilder();
    const reduce = builder.addNode(NodeType.commColl, 'all-reduce');
    builder.setCollective(reduce, CollectiveType.allReduce, 8);
    builder.setGroup(reduce, 'tp');
    writeFileSync(join(folder, 'tp.et'), encodeGraph(builder.finish()));
    expect(run(['tp.et'])).toMatchObject({
      rc: 2,
      err: expect.stringMatching(/"tp" is not defined\n {2}hint: .* --comm-group-configuration: /),
    });
    writeFileSync(join(folder, 'tp.json'), '{"tp": [0]}');
    expect(run(['tp.et', '--comm-group-configuration=tp.json'])).toMatchObject({ rc: 0, err: '' });
  });

  test('a JSON trace is told what it is', () => {
    writeFileSync(join(folder, 'host.json'), '{\n  "schema": "1.0.1",\n  "nodes": []\n}\n');
    expect(run(['host.json']).err).toBe(
      'system-simulator: host.json: a PyTorch execution trace in JSON (schema 1.0.1)\n' +
        '  hint: make it a Chakra trace with chakra_trace_link and chakra_converter (mlcommons/chakra)\n',
    );
    writeFileSync(join(folder, 'kineto.json'), '{"schemaVersion": 1, "traceEvents": []}');
    expect(run(['kineto.json']).err).toContain('kineto.json: a Kineto trace in JSON\n  hint: make');
    writeFileSync(join(folder, 'empty.et'), '');
    expect(run(['empty.et'])).toMatchObject({ rc: 2, err: expect.stringContaining('no Chakra') });
  });
});
