/** What `--node-results` says of a node: names as `chakra dump` has them, and the iteration it is of. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CollectiveType, GraphBuilder, writeStreamMetadata } from '@astrolabe/chakra';
import { expect, test } from 'vitest';
import { createMachine } from '../machine.js';
import { chain, collective, compute, set, spec } from '../machine.test-helper.js';
import { NodeResults } from './results.js';

test('names of types and collectives; the iteration, where the metadata tells it', async () => {
  const builder = new GraphBuilder();
  compute(builder, 40);
  collective(builder, CollectiveType.allGather, 1000);
  const metadata = writeStreamMetadata({ instance: 2, iteration: 7 });
  const machine = createMachine(spec(2));
  const results = new NodeResults();
  machine.onNode = (...event) => results.add(...event);
  machine.submit(set(7, [{ npus: [1], graph: builder.finish(metadata) }], { instance: 2 }));
  machine.submit(set(0, [{ npus: [0], graph: chain(5) }]));
  while (machine.runUntil(Number.MAX_SAFE_INTEGER) !== undefined);
  const folder = mkdtempSync(join(tmpdir(), 'results-'));
  await results.write(join(folder, 'nodes.ndjson'));
  const lines = readFileSync(join(folder, 'nodes.ndjson'), 'utf8').trim().split('\n');
  rmSync(folder, { recursive: true });
  const step = { instance: 2, iteration: 7, lane: 0, npu: 1 };
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      ...{ npu: 0, node: 0, name: 'compute', type: 'COMP', slot: 'compute' },
      ...{ issueNs: 0, endNs: 5, bytes: 0 },
    },
    {
      ...{ ...step, node: 0, name: 'compute', type: 'COMP', slot: 'compute' },
      ...{ issueNs: 0, endNs: 40, bytes: 0 },
    },
    {
      ...{ ...step, node: 1, name: 'collective', type: 'COMM_COLL', commType: 'ALL_GATHER' },
      // Of a group of one.
      ...{ slot: 'comm', issueNs: 40, endNs: 40, bytes: 1000 },
    },
  ]);
});
