/** ASTRA-sim's own files: strict by default, in compat mode read and refused as there. */
import { describe, expect, test } from 'vitest';
import { parseAstraGroups } from './astra-groups.js';
import { parseAstraMemory } from './astra-memory.js';
import { parseAstraNetwork } from './astra-network.js';
import { parseAstraSystem } from './astra-system.js';

const network = (lines: Record<string, string>): string =>
  Object.entries({
    topology: '[ Ring, Switch ]',
    npus_count: '[ 8, 4 ]',
    bandwidth: '[ 50.0, 25.0 ]',
    latency: '[ 500.0, 1000.0 ]',
    ...lines,
  })
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');

test('a network file', () => {
  for (const mode of ['default', 'compat'] as const) {
    expect(parseAstraNetwork(network({}), 'n.yml', mode)).toEqual({
      topology: ['Ring', 'Switch'],
      npus_count: [8, 4],
      bandwidth: [50, 25],
      latency: [500, 1000],
    });
  }
});

test.each<[string, Record<string, string>, 'default' | 'compat', string]>([
  ['mesh', { topology: '[ Mesh, Ring ]' }, 'compat', 'Topology name Mesh not supported'],
  ['one NPU', { npus_count: '[ 1, 4 ]' }, 'compat', 'npus_count (1) should be larger than 1'],
  ['no bandwidth', { bandwidth: '[ 0, 1 ]' }, 'compat', 'bandwidth (0) should be larger than 0'],
  ['lengths', { latency: '[ 1 ]' }, 'default', 'n.yml: latency: 1 entries, but topology has 2'],
  ['unknown key', { speed: '[ 1 ]' }, 'default', 'n.yml: unknown key "speed"'],
  ['text', { latency: 'tbd' }, 'default', 'n.yml: latency: expected array'],
  ['not YAML', { latency: '[ 1' }, 'default', 'n.yml: not valid YAML'],
  [
    'link',
    { links: '[{ from: 0 }]' },
    'default',
    'n.yml: links[0]: give either npu, or from and to',
  ],
])('network: %s', (_, lines, mode, says) => {
  expect(() => parseAstraNetwork(network(lines), 'n.yml', mode)).toThrow(says);
});

describe('a system file', () => {
  test('defaults', () => {
    const system = parseAstraSystem({ 'preferred-dataset-splits': 4 }, 's.json', 'default');
    expect(system).toMatchObject({
      splits: 4,
      activeChunks: 1,
      endpointDelayNs: undefined,
      localBwAware: false,
      roofline: false,
      sharedBus: undefined,
    });
  });

  test('JSON false switches on where ASTRA-sim compares with 0', () => {
    const file = { 'preferred-dataset-splits': 1, 'replay-only': false };
    expect(parseAstraSystem(file, 's.json', 'compat').replayOnly).toBe(true);
    expect(parseAstraSystem(file, 's.json', 'default').replayOnly).toBe(false);
  });

  test.each([-1, 'soon'])('an endpoint delay of %j is refused', (delay) => {
    const file = { 'preferred-dataset-splits': 1, 'endpoint-delay': delay };
    for (const mode of ['compat', 'default'] as const) {
      expect(() => parseAstraSystem(file, 's.json', mode)).toThrow(
        /^s\.json: endpoint-delay: expected (a )?number/,
      );
    }
  });

  test('unknown keys pass in compat mode only', () => {
    const file = { 'preferred-dataset-splits': 1, 'all-redcue-implementation': ['ring'] };
    expect(parseAstraSystem(file, 's.json', 'compat').splits).toBe(1);
    expect(() => parseAstraSystem(file, 's.json', 'default')).toThrow(
      's.json: unknown key "all-redcue-implementation"',
    );
  });

  test.each(['compat', 'default'] as const)('an unknown algorithm, %s', (mode) => {
    const file = { 'preferred-dataset-splits': 1, 'all-reduce-implementation': ['ring', 'foo'] };
    expect(() => parseAstraSystem(file, 's.json', mode)).toThrow(
      /^s\.json: all-reduce-implementation\[1\]/,
    );
  });
});

test('memory is cut to integers in compat mode', () => {
  const file = {
    'memory-type': 'MEMORY_POOL',
    'remote-mem-latency': 100.7,
    'remote-mem-bw': 0.5,
  };
  const stock = parseAstraMemory(file, 'm.json', 'compat');
  expect(stock).toMatchObject({ latencyNs: 100, bandwidthGBps: 0 });
  const ours = parseAstraMemory(file, 'm.json', 'default');
  expect(ours).toMatchObject({ latencyNs: 100.7, bandwidthGBps: 0.5 });
  expect(() => parseAstraMemory({ 'memory-type': 'POOL' }, 'm.json', 'compat')).toThrow(
    'm.json: memory-type: "POOL" is no memory type',
  );
});

test('groups keep their order; group 0 is everybody and cannot be defined', () => {
  const groups = parseAstraGroups({ 2: [3, 1], 10: [0] }, 'g.json');
  expect([...groups]).toEqual([
    [2, [3, 1]],
    [10, [0]],
  ]);
  expect(() => parseAstraGroups({ 0: [0, 1] }, 'g.json')).toThrow(
    'g.json: "0": a group id must be',
  );
});
