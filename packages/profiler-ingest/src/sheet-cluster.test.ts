/** Goal: what a person would write from a data sheet. Method: figures by hand, and the cluster schema. */
import { type Cluster, parseModel, resolveCluster } from '@astrolabe/config';
import { type Device, deviceSchema } from '@astrolabe/profile';
import { describe, expect, test } from 'vitest';
import { readDevices } from './cli/devices.js';
import { sheetInstances } from './cli/instance-argument.js';
import { printShortJson } from './print-json.js';
import { type SheetClusterOptions, type SheetInstance, sheetCluster } from './sheet-cluster.js';

const plain: SheetClusterOptions = {
  modelName: 'org/Model',
  dtype: undefined,
  perNode: 8,
  nicGbps: 400,
};

function clusterOf(words: string[], change: Partial<SheetClusterOptions> = {}) {
  return sheetCluster(sheetInstances(words), { ...plain, ...change });
}

const model = parseModel(
  'org/Model',
  {
    model_type: 'llama',
    hidden_size: 4096,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    intermediate_size: 14_336,
    vocab_size: 128_256,
    max_position_embeddings: 131_072,
    torch_dtype: 'bfloat16',
  },
  'test',
);

/** As every command reads it: through the schema, from what is printed. */
function resolved(file: unknown): Cluster {
  return resolveCluster(JSON.parse(printShortJson(file)), 'test', { findModel: () => model });
}

function instanceOf(change: Partial<Device>): SheetInstance {
  const [h200] = readDevices().filter(({ name }) => name === 'H200');
  return {
    text: 'x',
    device: { ...h200, ...change },
    tp: 2,
    pp: 1,
    ep: undefined,
    role: undefined,
  };
}

describe('a cluster file of data sheets', () => {
  test('one instance, every key by hand', () => {
    const { file } = clusterOf(['H200:tp=4']);
    expect(file).toEqual({
      // 450e9 / 2^30
      link_bw: 419,
      link_latency: 1000,
      link_nominal: true,
      nodes: [
        {
          cpu_mem: { mem_size: 512, mem_bw: 256 },
          // Twice the default, which is PCIe 4.0's.
          host_link_bw: 53.6,
          power: {
            npu: {
              H200: {
                idle_power: 70,
                standby_power: 140,
                active_power: 700,
                standby_duration: 1,
              },
            },
          },
          instances: [
            {
              model_name: 'org/Model',
              hardware: 'H200',
              npu_mem: { mem_size: 141, mem_bw: 4800 },
              tp_size: 4,
            },
          ],
        },
      ],
    });
  });

  test.each(readDevices().map(({ name }) => name))(
    '%s: figures of the sheet come through',
    (name) => {
      const [sheet] = readDevices().filter((device) => device.name === name);
      const { file, notes } = clusterOf([`${name}:tp=2`]);
      const { nodes, instances, linkBandwidthGBps } = resolved(file);
      const linkGBps = sheet.link?.gb_s ?? sheet.pcie_gb_s ?? 32;
      expect((linkBandwidthGBps[0] * 2 ** 30) / 1e9 / linkGBps).toBeCloseTo(1, 2);
      expect(instances[0].memory.bandwidthGBps).toBe(sheet.memory_bandwidth_gb_s);
      expect(instances[0].memory.sizeBytes).toBe(sheet.memory_gib * 2 ** 30);
      expect(nodes[0].power?.npu[name]?.active_power).toBe(sheet.tdp_watts);
      const lacks = notes.join('\n').includes(`the data sheet of ${name} lacks tdp_watts`);
      expect(lacks).toBe(sheet.tdp_watts === undefined);
    },
  );

  test('degrees, roles and dtype are keys only where they say something', () => {
    const words = ['H100:tp=2:pp=2:ep=4:prefill', 'H100:decode'];
    const [first, second] = clusterOf(words, { dtype: 'fp8' }).file.nodes[0].instances;
    const rest = { tp_size: 2, pp_size: 2, ep_size: 4, pd_type: 'prefill', dtype: 'fp8' };
    expect(first).toMatchObject(rest);
    expect(Object.keys(second)).toEqual([
      'model_name',
      'hardware',
      'npu_mem',
      'tp_size',
      'pd_type',
      'dtype',
    ]);
  });

  test('like devices share nodes, unlike ones do not; instances stay in step with the file', () => {
    const { file, instances } = clusterOf(['H200:tp=4:count=3', 'A100:tp=8', 'H200:tp=2']);
    const shape = file.nodes.map((node) =>
      node.instances.map(({ hardware, tp_size }) => `${hardware} ${tp_size}`),
    );
    expect(shape).toEqual([['H200 4', 'H200 4'], ['H200 4', 'H200 2'], ['A100 8']]);
    const order = instances.map(({ device, tp }) => `${device.name} ${tp}`);
    expect(order).toEqual(shape.flat());
    expect(file.topology).toBeUndefined();
    expect(resolved(file).numNpus).toBe(22);
  });

  test('KV between nodes needs cards; within one it does not', () => {
    const { file, notes } = clusterOf(['B200:tp=2:prefill', 'H200:tp=4:decode']);
    expect(file.topology).toEqual({
      nvlink: { domain_size: 4, bw: 419, latency: 1000 },
      pcie: { bw: 59.6, latency: 2000 },
      // 400 Gbit/s / 8 / 2^30; the B200 node has two devices.
      nic: { per_node: 2, bw: 46.6, latency: 5000 },
    });
    expect(file.nodes.map(({ link_bw: link }) => link)).toEqual([838, undefined]);
    expect(notes[0]).toMatch(/^link_bw 838: NVLink 5 of B200, 900 GB/);
    expect(resolved(file).nodes.map(({ linkGBps }) => linkGBps)).toEqual([838, undefined]);
    const slow = clusterOf(['L40S:prefill', 'H200:decode'], { nicGbps: 100 }).file;
    expect(slow.nodes.map(({ link_bw: link }) => link)).toEqual([undefined, 419]);
    expect(slow.topology).toEqual({
      pcie: { bw: 29.8, latency: 2000 },
      nic: { per_node: 1, bw: 11.6, latency: 5000 },
    });
    expect(clusterOf(['H200:tp=4:prefill', 'H200:tp=4:decode']).file.topology).toBeUndefined();
  });

  test('what a sheet lacks is said, and energy of some devices is none', () => {
    const lacking = instanceOf({ name: 'Dream', link: undefined, pcie_gb_s: undefined });
    const { file, notes } = sheetCluster([lacking], plain);
    expect(file.link_bw).toBe(29.8);
    expect(notes).toContain('Dream: its data sheet states neither link nor pcie_gb_s');
    const mixed = clusterOf(['H200', 'TPU-v6e', 'TPU-v5e']);
    expect(mixed.file.nodes.map(({ power }) => power)).toEqual([undefined, undefined, undefined]);
    expect(mixed.notes).toContain(
      'no power block, no energy: the data sheet of TPU-v6e, TPU-v5e lacks tdp_watts',
    );
  });

  test.each([
    [['H200:tp=16'], /^H200:tp=16: 16 devices, a node has 8$/],
    [['H200:tp=4:pp=4'], /^H200:tp=4:pp=4: 16 devices/],
    [['H200:prefill'], /^prefill without decode$/],
    [['H200:decode', 'H200'], /^decode without prefill$/],
    [['H200:tp=0'], /^H200:tp=0: "tp=0" is no option$/],
    [['H200:tp=2:tp=4'], /^H200:tp=2:tp=4: tp twice$/],
    [['H200:prefill:decode'], /^H200:prefill:decode: two roles$/],
    [['H300'], /^no data sheet for device "H300"$/],
    [['H100', 'H100-SXM'], /^H100 and H100-SXM are both called H100$/],
  ])('%j is refused', (words, message) => {
    expect(() => clusterOf(words)).toThrow(message);
  });

  test('--per-node is what a node has', () => {
    expect(clusterOf(['B200:tp=16'], { perNode: 72 }).file.nodes).toHaveLength(1);
  });
});

test('power, links and bandwidths of the shipped sheets are of one order', () => {
  for (const sheet of readDevices()) {
    expect(() => deviceSchema.parse({ ...sheet, tdp_watts: 0 })).toThrow();
    // Names become folders of profiles.
    expect(deviceSchema.parse({ ...sheet, name: 'A1.5 (rev 2)' }).name).toBe('A1.5 (rev 2)');
    for (const name of ['../../x', 'a\\b', '..', '']) {
      expect(() => deviceSchema.parse({ ...sheet, name })).toThrow(/without slashes/);
    }
    if (sheet.name === 'HBM-PIM') continue;
    const { tdp_watts: watts, link, pcie_gb_s: pcie, peak_tflops: peak } = sheet;
    const isTpu = sheet.vendor === 'Google';
    expect(watts === undefined, sheet.name).toBe(isTpu);
    expect(pcie === undefined, sheet.name).toBe(isTpu);
    expect([undefined, 32, 64]).toContain(pcie);
    // A link is for what PCIe is too slow for, and slower than the memory.
    expect(link?.gb_s ?? 200, sheet.name).toBeGreaterThan(pcie ?? 0);
    expect(link?.gb_s ?? 0).toBeLessThan(sheet.memory_bandwidth_gb_s / 4);
    expect(sheet.board_source, sheet.name).toBeDefined();
    // TFLOP/s a watt: 0.2 of an RTX 3090, 2.3 of a B200.
    if (watts !== undefined) expect(peak.bf16 / watts).toBeGreaterThan(0.2);
    if (watts !== undefined) expect(peak.bf16 / watts).toBeLessThan(2.5);
  }
});
