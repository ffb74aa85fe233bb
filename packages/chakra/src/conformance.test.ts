/**
 * Goal: three engines agree on our bytes: this codec, protobufjs reflection over proto/et_def.proto,
 * and protoc. Method: seeded random graphs, and every .et file of the reference data where present.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Random } from '@astrolabe/base';
import protobuf from 'protobufjs/minimal.js';
import { describe, expect, test } from 'vitest';
import {
  decodeGraph,
  decodeGraphs,
  encodeGraph,
  encodeGraphs,
  GraphStreamDecoder,
} from './index.js';
import { randomGraph } from './random-graph.test-helper.js';
import { reflectSchema } from './reflect.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const protoText = readFileSync(`${root}/proto/et_def.proto`, 'utf8');
const schema = reflectSchema(protoText);
const hasProtoc = spawnSync('protoc', ['--version']).status === 0;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('random graphs', () => {
  const random = new Random(11, 'chakra');
  const graphs = Array.from({ length: 300 }, () => randomGraph(random));

  test('write, read, write gives the same bytes, in both dialects', () => {
    for (const dialect of ['upstream', 'llmservingsim'] as const) {
      for (const graph of graphs) {
        const bytes = encodeGraph(graph, { dialect });
        expect(hex(encodeGraph(decodeGraph(bytes, { dialect }), { dialect }))).toBe(hex(bytes));
      }
    }
  });

  test('what is read equals what was built, apart from the raw bytes of extras', () => {
    for (const graph of graphs) {
      const back = decodeGraph(encodeGraph(graph));
      for (const key of Object.keys(graph) as (keyof typeof graph)[]) {
        if (['strings', 'name', 'pgName', 'extra'].includes(key)) continue;
        expect(back[key], key).toEqual(graph[key]);
      }
      for (let i = 0; i < graph.nodeCount; i++) {
        expect(back.strings[back.name[i]]).toBe(graph.strings[graph.name[i]]);
        expect(back.strings[back.pgName[i]]).toBe(graph.strings[graph.pgName[i]]);
      }
      const values = (from: typeof graph): unknown[] =>
        [...from.extra].map(([node, list]) => [node, list.map((a) => [a.name, a.kind, a.value])]);
      expect(values(back)).toEqual(values(graph));
    }
  });

  test('reflection reads our bytes and writes them back the same', () => {
    for (const graph of graphs) {
      const bytes = encodeGraph(graph);
      const trace = schema.decode(bytes);
      expect(trace.nodes).toHaveLength(graph.nodeCount);
      expect(hex(schema.encode(trace))).toBe(hex(bytes));
    }
  });

  test('a stream cut into random pieces is the same stream', () => {
    const stream = encodeGraphs(graphs);
    for (let trial = 0; trial < 20; trial++) {
      const decoder = new GraphStreamDecoder();
      const found = [];
      for (let at = 0; at < stream.length; ) {
        const size = 1 + random.below(trial < 10 ? 9 : 3000);
        found.push(...decoder.push(stream.subarray(at, at + size)));
        at += size;
      }
      found.push(...decoder.end());
      expect(hex(encodeGraphs(found))).toBe(hex(stream));
    }
  });

  test('a stream cut off anywhere is an error, never a shorter graph with node_count', () => {
    const bytes = encodeGraph({
      ...graphs.find((graph) => graph.nodeCount > 5)!,
      metadata: {
        version: '1.0.0',
        attributes: [{ name: 'node_count', kind: 'int64_val', value: 0 }],
      },
    });
    for (let length = 1; length < bytes.length; length++) {
      expect(() => decodeGraphs(bytes.subarray(0, length)), `${length} bytes`).toThrow(/byte \d+/);
    }
  });

  test.skipIf(!hasProtoc)('protoc reads our bytes and writes the same (needs protoc)', () => {
    // All messages as fields of one, which protoc takes whole: metadata first, then nodes.
    const metadata: Uint8Array[] = [];
    const nodes: Uint8Array[] = [];
    for (const graph of graphs) {
      const [first, ...others] = frames(encodeGraph(graph));
      metadata.push(Uint8Array.of(0x0a), first);
      for (const frame of others) nodes.push(Uint8Array.of(0x12), frame);
    }
    const input = Buffer.concat([...metadata, ...nodes]);
    const folder = mkdtempSync(`${tmpdir()}/chakra-`);
    try {
      writeFileSync(
        `${folder}/trace.proto`,
        `syntax = "proto3"; import "et_def.proto"; message Trace {
          repeated ChakraProtoMsg.GlobalMetadata metadata = 1;
          repeated ChakraProtoMsg.Node node = 2; }`,
      );
      const flags = [`-I${root}/proto`, `-I${folder}`];
      const run = (verb: string, data: Buffer): Buffer =>
        execFileSync('protoc', [...flags, `--${verb}=Trace`, 'trace.proto'], {
          input: data,
          maxBuffer: 2 ** 28,
        });
      const text = run('decode', input);
      expect(text.toString().match(/^node \{/gm)).toHaveLength(nodes.length / 2);
      expect(text.toString()).not.toMatch(/^ *\d+: /m);
      expect(hex(run('encode', text))).toBe(hex(input));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Each message with its length prefix. */
function frames(bytes: Uint8Array): Uint8Array[] {
  const reader = protobuf.Reader.create(bytes);
  const result: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    reader.skip(reader.uint32());
    result.push(bytes.subarray(start, reader.pos));
  }
  return result;
}

const golden = `${root}/../shared/refdata/astra_golden`;
const hasGolden = existsSync(golden);

describe.skipIf(!hasGolden)('the reference .et files (needs ../shared)', () => {
  const files = hasGolden
    ? ['workloads', 'timing_workloads'].flatMap((folder) =>
        readdirSync(`${golden}/${folder}`).map((name) => `${golden}/${folder}/${name}`),
      )
    : [];
  /** Attributes in an integer kind that is not the usual one: the kind changes, the value stays. */
  const unusualKinds = ['cpuint.et', 'szi32.et', 'szu64.et'];

  test('import, export gives the same bytes; import again the same graph', () => {
    expect(files.length).toBeGreaterThan(1000);
    const changed: string[] = [];
    for (const file of files) {
      const bytes = new Uint8Array(readFileSync(file));
      const graph = decodeGraph(bytes, { at: file });
      const again = encodeGraph(graph);
      if (hex(again) !== hex(bytes)) {
        changed.push(file.slice(file.lastIndexOf('/') + 1));
        expect(decodeGraph(again)).toEqual(graph);
      }
    }
    expect(changed.sort()).toEqual(unusualKinds);
  });

  test('reflection sees what we see', () => {
    for (const file of files.filter((_, i) => i % 10 === 0)) {
      const bytes = new Uint8Array(readFileSync(file));
      if (bytes.length > 50_000) continue;
      const { nodes } = schema.decode(bytes);
      const graph = decodeGraph(bytes);
      expect(graph.nodeCount).toBe(nodes.length);
      for (const [i, node] of nodes.entries()) {
        expect(String(graph.id[i])).toBe(node.id ?? '0');
        expect(graph.strings[graph.name[i]]).toBe(node.name ?? '');
        expect(graph.durationNs[i]).toBe(Number(node.duration_micros ?? 0) * 1000);
        const [from, to] = [graph.dataDepStart[i], graph.dataDepStart[i + 1]];
        expect([...graph.dataDep.subarray(from, to)].map(String)).toEqual(node.data_deps ?? []);
        const size = (node.attr as { name: string; int64_val?: string }[] | undefined)?.find(
          (attribute) => attribute.name === 'comm_size',
        )?.int64_val;
        if (size !== undefined) expect(String(graph.commSizeBytes[i])).toBe(size);
      }
    }
  });
});
