/**
 * Goal: the command does what its help says, with the exit codes of all commands here. Method: the
 * built command in a fresh folder.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeGraph,
  encodeGraph,
  encodeGraphs,
  expandGraphSet,
  GraphBuilder,
  type GraphSet,
  NodeType,
} from '../index.js';

const command = fileURLToPath(new URL('../../bin/chakra.js', import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL('../../dist/cli.js', import.meta.url)));
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'chakra-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function chakra(args: string[], input?: Uint8Array): { rc: number; out: string; err: string } {
  const child = spawnSync(process.execPath, [command, ...args], {
    cwd: folder,
    input: input ?? new Uint8Array(0),
    maxBuffer: 2 ** 28,
  });
  return { rc: child.status ?? -1, out: child.stdout.toString(), err: child.stderr.toString() };
}

function write(name: string, data: Uint8Array | string): string {
  writeFileSync(join(folder, name), data);
  return name;
}

/** Iteration of two NPUs: compute, group all-reduce. */
function iteration(number: number, durationNs = 5000): Uint8Array {
  const builder = new GraphBuilder();
  const gemm = builder.addNode(NodeType.comp, 'gemm "q"');
  builder.setDuration(gemm, durationNs);
  builder.addExtra(gemm, { name: 'phase', kind: 'string_val', value: 'decode' });
  const reduce = builder.addNode(NodeType.commColl, 'all-reduce <tp>');
  builder.setCollective(reduce, 0, 1024);
  builder.setGroup(reduce, '1');
  builder.addDep(reduce, gemm);
  const set: GraphSet = {
    instance: 0,
    iteration: number,
    releaseNs: number * 10,
    lane: 0,
    programs: [{ npus: [0, 1], graph: builder.finish() }],
    groups: { '1': [0, 1] },
  };
  return encodeGraphs(expandGraphSet(set));
}

describe.skipIf(!isBuilt)('chakra (needs npm run build)', () => {
  test('split, then cat, is the stream again', () => {
    const stream = iteration(3);
    expect(chakra(['split', '-o', 'one/step'], stream)).toEqual({ rc: 0, out: '', err: '' });
    expect(readdirSync(join(folder, 'one')).sort()).toEqual([
      'step.0.et',
      'step.1.et',
      'step.groups.json',
    ]);
    const parts = [0, 1].map((npu) => readFileSync(join(folder, `one/step.${npu}.et`)));
    expect(Buffer.concat(parts).equals(Buffer.from(stream))).toBe(true);
    const groups = readFileSync(join(folder, 'one/step.groups.json'), 'utf8');
    expect(JSON.parse(groups)).toEqual({ '1': [0, 1] });
  });

  test('split of several iterations asks for folders, and leaves nothing behind', () => {
    const stream = Buffer.concat([iteration(0), iteration(1)]);
    const refused = chakra(['split', '-o', 'two/step'], stream);
    expect(refused.rc).toBe(2);
    expect(refused.err).toBe(
      'chakra: stdin: instance 0 iteration 1 NPU 0: a second graph for two/step.0.et; ' +
        'the first is stdin: instance 0 iteration 0 NPU 0\n' +
        '  hint: a stream of several iterations needs --per-iteration\n',
    );
    expect(existsSync(join(folder, 'two'))).toBe(false);
    expect(chakra(['split', '-o', 'two', '--per-iteration'], stream).rc).toBe(0);
    const path = join(folder, 'two/instance-0/iteration-1/lane-0/trace.1.et');
    expect(decodeGraph(readFileSync(path)).nodeCount).toBe(2);
  });

  test('dump as text and NDJSON', () => {
    const text = chakra(['dump', '--count', '1'], iteration(3, 1500));
    expect(text.out.split('\n').slice(0, 2)).toEqual([
      'graph 0 (NPU 0): version 1.0.0, 2 nodes instance=0 npu=0 iteration=3 release_ns=30 lane=0 ' +
        'npu_count=2 comm_groups={"1":[0,1]}',
      '  0 COMP "gemm \\"q\\"" durationNs=1500 phase:string_val="decode"',
    ]);
    const lines = chakra(['dump', '--format', 'ndjson'], iteration(3)).out.trim().split('\n');
    expect(lines).toHaveLength(6);
    expect(JSON.parse(lines[2])).toEqual({
      kind: 'node',
      graph: 0,
      npu: 0,
      id: 1,
      name: 'all-reduce <tp>',
      type: 'COMM_COLL',
      durationNs: 0,
      dataDeps: [0],
      ctrlDeps: [],
      commType: 'ALL_REDUCE',
      commSizeBytes: 1024,
      pgName: '1',
    });
  });

  test('dump of a trace from PyTorch: fields and attributes without columns', () => {
    const node = '120161' + '1804' + '3007' + '4205' + '0a035b315d' + '5200';
    const bytes = Buffer.from(`00${(node.length / 2).toString(16)}${node}`, 'hex');
    const { out } = chakra(['dump', '--format', 'ndjson'], bytes);
    expect(JSON.parse(out.split('\n')[1])).toMatchObject({
      name: 'a',
      fields: { startTimeMicros: 7, inputs: { values: '[1]', shapes: '', types: '' } },
      extra: [{ name: '', kind: 'none' }],
    });
  });

  test('lint: 0 and silence; warnings, and 1 only if asked for; errors and 1', () => {
    expect(chakra(['lint'], iteration(3))).toEqual({ rc: 0, out: '', err: '' });
    const bad = chakra(['lint'], iteration(3, 0));
    expect(bad.rc).toBe(0);
    expect(bad.out.split('\n')[0]).toBe(
      'stdin: instance 0 iteration 3 NPU 0: node 0 (id 0 "gemm "q""): warning: ' +
        'compute without duration, num_ops or tensor_size [zero-duration]',
    );
    expect(bad.err).toBe('chakra: 0 errors, 2 warnings\n');
    expect(chakra(['lint', '--strict'], iteration(3, 0))).toEqual({ ...bad, rc: 1 });
    const silent = { rc: 0, out: '', err: '' };
    expect(chakra(['lint', '--strict', '--errors-only'], iteration(3, 0))).toEqual(silent);
    expect(chakra(['lint', '--rules'], iteration(3)).out).toContain('unmatched-send');
  });

  test('lint of files takes NPUs from names and groups from a file', () => {
    const builder = new GraphBuilder();
    const node = builder.addNode(NodeType.commColl, 'c');
    builder.setCollective(node, 0, 8);
    builder.setGroup(node, '1');
    const bytes = encodeGraph(builder.finish({ version: '', attributes: [] }));
    for (const npu of [0, 1, 10]) write(`run.${npu}.et`, bytes);
    write('groups.json', '{"1": [0, 1, 10]}');
    const { rc, out } = chakra(['lint', 'run', '--groups', 'groups.json']);
    expect(rc).toBe(1);
    expect(out).toBe(
      'run.0.et: error: no graph for NPU 2, 3, 4, 5, 6, 7, 8, 9 of 0..10 [missing-rank]\n',
    );
    expect(chakra(['lint', 'run']).out).toContain('group "1" has no members given');
    write('bad.json', '{"1": "all"}');
    const bad = chakra(['lint', 'run', '--groups', 'bad.json']);
    expect([bad.rc, bad.err]).toEqual([
      2,
      'chakra: bad.json: 1: expected array, received string\n',
    ]);
  });

  test('stat counts', () => {
    const [line] = chakra(['stat', '--format', 'ndjson'], iteration(3)).out.split('\n');
    expect(JSON.parse(line)).toMatchObject({
      npu: 0,
      iteration: 3,
      nodeCount: 2,
      edgeCount: 1,
      rootCount: 1,
      depth: 2,
      computeNs: 5000,
      criticalPathNs: 5000,
      nodesByType: { COMM_COLL: 1, COMP: 1 },
      collectives: { ALL_REDUCE: { count: 1, sizeBytes: 1024 } },
    });
    expect(chakra(['stat'], iteration(3)).out).toContain('criticalPathNs   5,000');
  });

  test('convert there and back is the identity; gzip is told by its bytes', () => {
    write('s.et', iteration(3, 1500));
    write('s.packed', gzipSync(iteration(3, 1500)));
    expect(chakra(['convert', 's.packed', '-o', 'fork.et', '--to', 'llmservingsim']).rc).toBe(0);
    const fork = chakra(['dump', 'fork.et', '--dialect', 'llmservingsim']).out;
    expect(fork).toContain('0 COMP "gemm \\"q\\"" durationNs=1500');
    expect(chakra(['dump', 'fork.et']).out).toContain('0 COMM_SEND');
    expect(chakra(['convert', 'fork.et', '--from', 'llmservingsim', '-o', 'back.et']).rc).toBe(0);
    expect(readFileSync(join(folder, 'back.et'))).toEqual(readFileSync(join(folder, 's.et')));
    chakra(['convert', 's.et', '--schema-version', '0.0.4', '-o', 'old.et']);
    expect(chakra(['dump', '--metadata', 'old.et']).out).toContain('version 0.0.4');
    const schema = Buffer.from(
      '1d121b0a06736368656d61ea0111'
        .concat(Buffer.from('a-chakra.0.0.4').toString('hex'))
        .replace('1d121b', '1b1219')
        .replace('ea0111', 'ea010e'),
      'hex',
    );
    const stamped = chakra(['convert', '--schema-version', '1.0.0', '-o', 'new.et'], schema);
    expect(stamped.err).toBe('');
    expect(chakra(['dump', 'new.et']).out).toContain('schema=a-chakra.1.0.0');
  });

  test('what dump prints, a program may change, and convert makes a trace of it', () => {
    const dumped = chakra(['dump', '--format', 'ndjson'], iteration(3)).out;
    const back = chakra(['convert', '--from', 'ndjson', '-o', 'again'], Buffer.from(dumped));
    expect(back).toEqual({ rc: 0, out: '', err: '' });
    expect(readFileSync(join(folder, 'again')).equals(Buffer.from(iteration(3)))).toBe(true);
    const slower = Buffer.from(dumped.replaceAll('"durationNs":5000', '"durationNs":7000'));
    chakra(['convert', '--from', 'ndjson', '-o', 'slower'], slower);
    expect(readFileSync(join(folder, 'slower')).equals(Buffer.from(iteration(3, 7000)))).toBe(true);
    const bad = chakra(['convert', '--from', 'ndjson'], Buffer.from('{"id":1}\n'));
    expect([bad.rc, bad.err.split('\n')[0]]).toEqual([
      2,
      'chakra: stdin:1: type: missing, expected string',
    ]);
    expect(chakra(['convert', '--from', 'ndjson']).err).toBe(
      'chakra: stdin: no records in the input\n',
    );
  });

  test('convert of a prefix writes a prefix', () => {
    chakra(['split', '-o', 'p/step'], iteration(1));
    expect(chakra(['convert', 'p/step', '-o', 'q/step']).rc).toBe(0);
    expect(chakra(['diff', 'p/step', 'q/step'])).toEqual({ rc: 0, out: '', err: '' });
    expect(chakra(['convert', 'p/step']).err).toContain('give -o PREFIX');
  });

  test('diff: 0 when equal, 1 and each difference when not', () => {
    write('a.et', iteration(3));
    write('b.et', iteration(3, 6000));
    const { rc, out, err } = chakra(['diff', 'a.et', 'b.et']);
    expect([rc, err]).toEqual([1, 'chakra: 2 differences\n']);
    expect(out.split('\n')[0]).toBe('graph 0 (NPU 0): id 0 "gemm "q"": durationNs: 5000 -> 6000');
    expect(chakra(['diff', 'a.et', 'b.et', '--duration-tolerance', '0.2']).rc).toBe(0);
    write('c.et', Buffer.concat([iteration(3), iteration(4)]));
    expect(chakra(['diff', '-', '-'])).toMatchObject({
      rc: 2,
      err: 'chakra: second -: stdin holds one trace, expected a file\n',
    });
    const longer = chakra(['diff', 'a.et', 'c.et']);
    expect(longer.out).toBe('graph 2: 2 graphs only in the second\n');
    write('d.et', iteration(4));
    expect(chakra(['diff', 'a.et', 'd.et']).out).toContain('metadata: attributes: ');
    expect(chakra(['diff', 'a.et', 'd.et', '--ignore-metadata']).rc).toBe(0);
  });

  test('view: Graphviz and HTML, escaped', () => {
    write('v.et', iteration(3));
    expect(chakra(['view', 'v.et']).err).toContain('choose one with --graph N');
    const dot = chakra(['view', 'v.et', '--graph', '1']).out;
    expect(dot).toContain('n0 [label="0 gemm \\"q\\"\\nCOMP 5,000 ns"');
    expect(dot).toContain('n0 -> n1;');
    const html = chakra(['view', 'v.et', '--graph', '0', '--format', 'html']).out;
    expect(html).toContain('all-reduce &lt;tp&gt;');
    expect(html).not.toContain('<tp>');
    expect(html.match(/<rect /g)).toHaveLength(2);
    const near = chakra(['view', 'v.et', '--graph', '0', '--around', '1', '--depth', '0']).out;
    expect(near.match(/label=/g)).toHaveLength(1);
    expect(chakra(['view', 'v.et', '--graph', '0', '--around', '9']).rc).toBe(2);
  });

  test.each([
    [['dump', 'missing.et'], /^chakra: missing\.et: no such file/],
    [
      ['dump', 'cut.et'],
      /^chakra: cut\.et: graph 1, node 1, byte \d+: input ends within a message/,
    ],
    [['lint', 'cut.et'], /^chakra: cut\.et: graph 1, node 1/],
    [
      ['dump', 'text.et'],
      /^chakra: text\.et: metadata, byte 0: input ends within a message: 26 of 72 bytes/,
    ],
    [['dump', 'empty.et'], /^chakra: empty\.et: no Chakra graph in it/],
    [['dump', 'cut.gz'], /^chakra: cut\.gz: not a complete gzip file/],
    [['split', '-o', '-'], /^chakra: option '-o, --output <prefix>' argument '-' is invalid/],
    [['split', '-o', 'x'], /^chakra: stdin: metadata, byte 0: input ends within/],
    [['frobnicate'], /unknown command/],
    [['dump', '--format', 'yaml'], /Allowed choices are text, ndjson/],
  ])('bad input is one line and exit 2: %j', (args, message) => {
    const bytes = iteration(3);
    write('cut.et', bytes.subarray(0, bytes.length - 3));
    write('text.et', 'Hello, this is not a trace.');
    write('empty.et', '');
    write('cut.gz', gzipSync(bytes).subarray(0, 40));
    const { rc, err, out } = chakra(args, Uint8Array.of(9, 0x0a, 5));
    expect(rc).toBe(2);
    expect(err).toMatch(message);
    expect(err).not.toContain('    at ');
    expect(out.length).toBeLessThan(600);
  });

  test('a reader that leaves ends it quietly', () => {
    const many = Buffer.concat(Array.from({ length: 2000 }, (_, i) => iteration(i)));
    write('many.et', many);
    const shell = spawnSync(
      'bash',
      ['-c', 'set -o pipefail; "$1" "$2" dump many.et | head -1', '-', process.execPath, command],
      { cwd: folder },
    );
    expect(shell.status).toBe(0);
    expect(shell.stderr.toString()).toBe('');
    expect(shell.stdout.toString()).toMatch(/^graph 0 .*\n$/);
  });
});
