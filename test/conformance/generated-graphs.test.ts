/**
 * What our generator writes, others can read and run: an iteration's .et files decode with protoc and
 * the schema in proto/, come back from our reader as they were, and the lint is silent on random
 * iterations of every shipped cluster.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@astrolabe/base';
import {
  decodeGraph,
  encodeGraph,
  expandGraphSet,
  formatFinding,
  type GraphSet,
  lint,
} from '@astrolabe/chakra';
import type { Cluster } from '@astrolabe/config';
import { loadCluster } from '@astrolabe/config/cli';
import { openProfiles, type Profiles } from '@astrolabe/profiler-ingest/cli';
import {
  createTraceGenerator,
  type Iteration,
  type TraceGenerator,
} from '@astrolabe/trace-generator';
import protobuf from 'protobufjs/minimal.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { root } from '../pipeline/commands.js';

const hasProtoc = spawnSync('protoc', ['--version']).status === 0;

let profiles: Profiles;
beforeAll(async () => {
  profiles = await openProfiles(join(root, 'profiles'));
});

function generatorOf(cluster: Cluster): TraceGenerator {
  return createTraceGenerator({
    cluster,
    latencyModelFor: ({ hardware, model, engine }) =>
      profiles.latencyModel(hardware, model.name, engine.dtype),
  });
}

/** A plausible batch: some decodes, some prefill chunks. */
function randomIteration(random: Random, instance: number, number: number): Iteration {
  const requests = 1 + random.below(20);
  const isPrefill = Array.from({ length: requests }, () => random.below(4) === 0);
  return {
    instance,
    iteration: number,
    releaseNs: random.below(1e9),
    requests: Array.from({ length: requests }, (_, i) => i),
    newTokens: isPrefill.map((prefill) => (prefill ? 1 + random.below(500) : 1)),
    contextTokens: isPrefill.map((prefill) => (prefill ? 0 : 1 + random.below(3000))),
  };
}

describe('an iteration as .et files', () => {
  const setOf = (): GraphSet =>
    generatorOf(loadCluster(join(root, 'cluster_config/tp2.json'))).generate(
      randomIteration(new Random(1, 'et'), 0, 0),
    );

  it('our reader gives back what was written', () => {
    for (const graph of expandGraphSet(setOf())) {
      const bytes = encodeGraph(graph);
      expect(Buffer.from(encodeGraph(decodeGraph(bytes))).equals(bytes)).toBe(true);
    }
  });

  it.skipIf(!hasProtoc)(
    'protoc decodes every message with proto/et_def.proto (needs protoc)',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'astrolabe-protoc-'));
      try {
        // A file's messages as fields of one, so that protoc starts once a file.
        writeFileSync(
          join(folder, 'trace.proto'),
          `syntax = "proto3"; import "et_def.proto"; message Trace {
          repeated ChakraProtoMsg.GlobalMetadata metadata = 1;
          repeated ChakraProtoMsg.Node node = 2; }`,
        );
        for (const graph of expandGraphSet(setOf())) {
          const text = decode(folder, asFields(encodeGraph(graph)));
          expect(text).toMatch(/^metadata \{\n {2}version: "/);
          expect(text.match(/^node \{/gm)).toHaveLength(graph.nodeCount);
          expect(text).not.toMatch(/^ *\d+: /m);
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});

function decode(folder: string, input: Uint8Array): string {
  const flags = [`-I${root}/proto`, `-I${folder}`, '--decode=Trace', 'trace.proto'];
  return execFileSync('protoc', flags, { input, maxBuffer: 2 ** 26 }).toString();
}

/** A delimited file with a field tag before each message: 1 the metadata, 2 a node. */
function asFields(bytes: Uint8Array): Uint8Array {
  const reader = protobuf.Reader.create(bytes);
  const parts: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    reader.skip(reader.uint32());
    parts.push(Uint8Array.of(start === 0 ? 0x0a : 0x12), bytes.subarray(start, reader.pos));
  }
  return Buffer.concat(parts);
}

/** Clusters whose devices and models the shipped profiles know. */
function shippedClusters(): { name: string; cluster: Cluster }[] {
  return readdirSync(join(root, 'cluster_config'))
    .filter((name) => name.endsWith('.json'))
    .map((name) => ({ name, cluster: loadCluster(join(root, 'cluster_config', name)) }));
}

describe('lint', () => {
  it('is silent on random iterations of the shipped clusters', () => {
    let graphs = 0;
    for (const { name, cluster } of shippedClusters()) {
      // Members of a data-parallel group step together; one alone is rightly called incomplete.
      const alone = cluster.instances.filter(({ dpGroup, model }) => {
        return dpGroup === undefined || model.moe === undefined;
      });
      if (alone.length === 0) continue;
      const generator = generatorOf(cluster);
      const random = new Random(7, name);
      for (let i = 0; i < 15; i++) {
        const { index } = alone[random.below(alone.length)];
        const set = generator.generate(randomIteration(random, index, i));
        const npus = set.programs.flatMap((program) => program.npus).sort((a, b) => a - b);
        const inputs = expandGraphSet(set).map((graph, n) => ({
          graph,
          npu: npus[n],
          at: `${name} NPU ${npus[n]}`,
        }));
        graphs += inputs.length;
        const { findings } = lint(inputs, { groups: set.groups });
        // Where memory computes attention, a batch may leave a device or a transfer nothing to do.
        const told = cluster.instances.some(({ engine }) => engine.attentionOffload)
          ? findings.filter(({ severity }) => severity === 'error')
          : findings;
        expect(told.map(formatFinding)).toEqual([]);
      }
    }
    expect(graphs).toBeGreaterThanOrEqual(200);
  });
});
