/** Tensors alive, by hand. */
import { GraphBuilder, NodeType } from '@astrolabe/chakra';
import { expect, test } from 'vitest';
import { collectiveGraph, inputsOf, network, simulate } from './astra.test-helper.js';
import { formatBytes } from './local-memory.js';
import { astraReport } from './report.js';

const net = network(['Ring', 2]);
const system = { 'track-local-mem': 1 };

test('the peak is the largest sum of tensors alive', () => {
  const builder = new GraphBuilder();
  const step = (durationNs: number, inputs: string[], outputs: string[]): void => {
    const node = builder.addNode(NodeType.comp, 'step');
    builder.setDuration(node, durationNs);
    if (node > 0) builder.addDep(node, node - 1);
    builder.addExtra(node, { name: 'inputs', kind: 'string_list', value: inputs });
    builder.addExtra(node, { name: 'outputs', kind: 'string_list', value: outputs });
  };
  // x is there from 0 and read until 100; y lives 0 to 300; z from 100 on for ever; 0 bytes count not.
  step(100, ['x', '1000'], ['y', '2000']);
  step(200, ['y', '2000', 'nothing', '0'], ['z', '4000']);
  const options = { net, graphs: builder.finish(), system };
  const simulation = simulate(options, 'always');
  const memory = simulation.localMemory.get(1);
  expect(memory?.timeline()).toEqual([
    { timeNs: 0, bytes: 3000, peakBytes: 3000 },
    // What comes is there before others go.
    { timeNs: 100, bytes: 6000, peakBytes: 7000 },
    { timeNs: 300, bytes: 4000, peakBytes: 4000 },
  ]);
  expect(astraReport(simulation, inputsOf(options).system)).toContain(
    'sys[1] peak memory usage: 6.84 KB\n',
  );
  expect(memory?.chromeTrace(1).traceEvents).toContainEqual({
    name: 'y',
    cat: 'tensorRead',
    pid: 1,
    tid: 'tensorRead',
    ph: 'B',
    ts: 0.1,
  });
});

test('nodes that do not say their tensors are refused', () => {
  const graphs = collectiveGraph('AR', 4096);
  expect(() => simulate({ net, graphs, system })).toThrow(
    'NPU 0: node 0: track-local-mem needs attribute inputs, a list of strings',
  );
});

test('bytes as ASTRA-sim prints them', () => {
  expect([7, 7000, 3 * 2 ** 20].map(formatBytes)).toEqual(['7.00 B', '6.84 KB', '3.00 MB']);
});
