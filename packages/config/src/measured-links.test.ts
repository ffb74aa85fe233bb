/** Measured links of a cluster: which devices have them, and what is told before a run. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCluster } from './cli/index.js';
import { measuredLinksOf, npuHardware } from './measured-links.js';

const curve = (collective: string, participants: number) => ({
  collective,
  participants,
  size_bytes: [1024, 1_048_576],
  duration_ns: [10_000, 50_000],
});
const table = { source: 'test', curves: [curve('all_reduce', 2), curve('send_recv', 2)] };

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'astrolabe-links-'));
  writeFileSync(join(folder, 'links.json'), JSON.stringify(table));
  writeFileSync(join(folder, 'broken.json'), '{"source": "x",\n "curves": [}');
  const apart = { ...table, curves: [{ ...table.curves[1], devices_per_node: 1 }] };
  writeFileSync(join(folder, 'apart.json'), JSON.stringify(apart));
  writeFileSync(
    join(folder, 'reduce.json'),
    JSON.stringify({ ...table, curves: [table.curves[0]] }),
  );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function load(links: object[], instance: object = { tp_size: 2 }) {
  const path = join(folder, 'cluster.json');
  const entry = {
    model_name: 'meta-llama/Llama-3.1-8B',
    hardware: 'A',
    npu_mem: { mem_size: 80, mem_bw: 2000 },
    name: 'one',
    ...instance,
  };
  const file = {
    link_bw: 16,
    link_latency: 0,
    measured_links: links,
    nodes: [{ cpu_mem: { mem_size: 1, mem_bw: 1 }, instances: [entry] }],
  };
  writeFileSync(path, JSON.stringify(file));
  return loadCluster(path);
}

describe('measured_links', () => {
  it('are read beside the cluster file', () => {
    const cluster = load([{ file: 'links.json' }]);
    expect(cluster.measuredLinks).toEqual([{ file: 'links.json', hardware: undefined, table }]);
  });

  it('belong to devices by name, the first that fits', () => {
    const two = { tp_size: 2, pp_size: 2, stage_hardware: ['A', 'B'] };
    const { measuredLinks = [], instances } = load(
      [{ file: 'links.json', hardware: 'B' }, { file: 'reduce.json' }],
      two,
    );
    expect(npuHardware(instances[0])).toEqual(['A', 'A', 'B', 'B']);
    expect(npuHardware(instances[0]).map((name) => measuredLinksOf(measuredLinks, name))).toEqual([
      1, 1, 0, 0,
    ]);
    expect(measuredLinksOf([measuredLinks[0]], 'A')).toBe(-1);
  });

  it.each<[string, object[], object, RegExp]>([
    ['a missing file', [{ file: 'none.json' }], {}, /none\.json: no such file/],
    ['text that is no JSON', [{ file: 'broken.json' }], {}, /broken\.json:2/],
    ['a profile', [{ file: 'links.arrow' }], {}, /links\.arrow: a size table is a \.json file/],
    [
      'a device that is not there',
      [{ file: 'links.json', hardware: 'C' }],
      {},
      /cluster\.json: measured_links\[0\]\.hardware: no device "C" in this cluster/,
    ],
    [
      'a TP degree nobody measured',
      [{ file: 'links.json' }],
      { tp_size: 4 },
      /links\.json: no all_reduce of 4 in one node, which instance "one" needs/,
    ],
    [
      'stages at a distance nobody measured',
      [{ file: 'apart.json' }],
      { tp_size: 1, pp_size: 2 },
      /apart\.json: no send_recv of 2 in one node, which instance "one" needs/,
    ],
    ['a key misspelt', [{ path: 'links.json' }], {}, /measured_links\[0\]/],
  ])('refuse %s', (_, links, instance, message) => {
    expect(() => load(links, { tp_size: 2, ...instance })).toThrow(message);
  });

  it('say what there is instead', () => {
    const hint =
      'there is all_reduce of 2 in one node; without any all_reduce the network is simulated';
    const refused = () => load([{ file: 'links.json' }], { tp_size: 4 });
    expect(refused).toThrow(expect.objectContaining({ hint }));
  });

  it('ask for nothing that the run does not need', () => {
    expect(() => load([{ file: 'links.json' }], { tp_size: 1 })).not.toThrow();
    expect(() => load([{ file: 'reduce.json' }], { tp_size: 2, pp_size: 2 })).not.toThrow();
  });
});
