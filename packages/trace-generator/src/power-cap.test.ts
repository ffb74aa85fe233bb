/** Operators under a power cap, by hand: 100 W of 800 W above idle are allowed, so half the clock. */
import { type Cluster, parseModel, resolveCluster } from '@astrolabe/config';
import { tinyModel } from '@astrolabe/config/tiny-model';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { promptOfEight } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator } from './generate.js';
import { cappedClock, cappedNs, type PowerCap, powerCapOf } from './power-cap.js';

const half: PowerCap = {
  capW: 110,
  idleW: 10,
  activeW: 810,
  memoryPjPerBit: 0,
  memoryInBoard: true,
};
/** 1 pJ per bit is 0.008 W at 1 B/ns: so many bytes draw 100 W for 1000 ns. */
const drawing100W = 1000 * 12_500;

describe('cappedNs', () => {
  it('computation slows with the cube root of its power, memory does not', () => {
    expect(cappedNs(half, 1000, 0, 0)).toBeCloseTo(2000, 1);
    expect(cappedNs(half, 1000, 400, 0)).toBeCloseTo(400 + 2 * 600, 1);
    expect(cappedNs(half, 1000, 1000, 0)).toBe(1000);
    expect(cappedNs(half, 1000, 5000, 0)).toBe(1000);
  });

  it('memory slows once its energy alone is over the cap', () => {
    const cap = { ...half, memoryPjPerBit: 1 };
    expect(cappedNs(cap, 1000, 1000, drawing100W)).toBe(1000);
    expect(cappedNs(cap, 1000, 1000, 3 * drawing100W)).toBeCloseTo(3000, 1);
  });

  it('memory that slows leaves power to the core', () => {
    // At 1500 ns: 100 W x 1000 / 1500 for memory, (800 - 100) W x 0.5^3 for the core.
    const cap = { ...half, memoryPjPerBit: 1, capW: 10 + 200 / 3 + 87.5 };
    expect(cappedNs(cap, 1000, 500, drawing100W)).toBeCloseTo(1500, 1);
    // Memory beside the board's power: the core keeps its 800 W.
    const apart = { ...cap, memoryInBoard: false, capW: 10 + 200 / 3 + 100 };
    expect(cappedNs(apart, 1000, 500, drawing100W)).toBeCloseTo(1500, 1);
  });

  it('is the shortest time within the cap, for any operator', () => {
    const watts = (most: number): fc.Arbitrary<number> =>
      fc.double({ min: 1, max: most, noNaN: true });
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        ...([watts(100), watts(900), watts(900), watts(300), share] as const),
        fc.integer({ min: 100, max: 1e8 }),
        fc.boolean(),
        (idleW, aboveW, allowedW, trafficW, memoryShare, timeNs, memoryInBoard) => {
          const cap: PowerCap = {
            capW: idleW + allowedW,
            idleW,
            activeW: idleW + aboveW,
            memoryPjPerBit: 1,
            memoryInBoard,
          };
          const memoryNs = memoryShare * timeNs;
          const taken = cappedNs(cap, timeNs, memoryNs, (trafficW / 0.008) * timeNs);
          const memoryW = memoryInBoard ? Math.min(trafficW, aboveW) : trafficW;
          const coreW = memoryInBoard ? aboveW - memoryW : aboveW;
          const drawnW = (ns: number): number => {
            const clock = memoryShare === 1 ? 0 : (timeNs - memoryNs) / (ns - memoryNs);
            return (memoryW * timeNs) / ns + coreW * clock ** 3;
          };
          expect(taken).toBeGreaterThanOrEqual(timeNs);
          expect(drawnW(taken)).toBeLessThanOrEqual(allowedW * (1 + 1e-9));
          if (taken > timeNs + 0.02) expect(drawnW(taken - 0.02)).toBeGreaterThan(allowedW);
          const roomier = cappedNs({ ...cap, capW: cap.capW + 1 }, timeNs, memoryNs, 0);
          const tight = cappedNs(cap, timeNs, memoryNs, 0);
          expect(roomier).toBeLessThanOrEqual(tight + 0.02);
        },
      ),
    );
  });
});

const constants = { idle_power: 10, standby_power: 20, active_power: 810, standby_duration: 1 };

function clusterOf(npu: Record<string, object>, instance: object = {}, bandwidth = 1e9): Cluster {
  const power = {
    base_node_power: 0,
    npu,
    cpu: { idle_power: 0, active_power: 0, util: 0 },
    dram: { energy_per_bit: 0 },
    link: { num_links: 0, idle_power: 0, energy_per_bit: 0 },
    nic: { num_nics: 0, idle_power: 0 },
    storage: { num_devices: 0, idle_power: 0 },
  };
  const one = {
    model_name: 'tiny',
    hardware: 'X',
    npu_mem: { mem_size: 24, mem_bw: bandwidth },
    ...instance,
  };
  const nodes = [{ cpu_mem: { mem_size: 64, mem_bw: 100 }, power, instances: [one] }];
  return resolveCluster({ link_bw: 16, link_latency: 0, nodes }, 'test', {
    findModel: (name) => parseModel(name, tinyModel, 'test'),
  });
}

/** Durations by name of all programs, ns. */
function durations(cluster: Cluster): Map<string, number> {
  const generator = createTraceGenerator({
    cluster,
    latencyModelFor: () => exampleLatency(fusedOperators),
  });
  const { programs } = generator.generate(promptOfEight);
  const found = new Map<string, number>();
  for (const { graph } of programs) {
    graph.durationNs.forEach((ns, i) => {
      if (ns > 0) found.set(graph.strings[graph.name[i]], ns);
    });
  }
  return found;
}

describe('a capped device', () => {
  const free = durations(clusterOf({ X: constants }));
  const X = { ...constants, power_cap: 110 };

  it('doubles all times that memory does not explain', () => {
    const slowed = durations(clusterOf({ X }));
    expect(free.size).toBeGreaterThan(20);
    expect([...slowed.keys()]).toEqual([...free.keys()]);
    for (const [name, ns] of free) expect(slowed.get(name), name).toBe(2 * ns);
  });

  it('leaves alone what memory explains, in part or whole', () => {
    // 80 ns; down_proj moves 64 x 128 x 2 + 8 x (128 + 64) x 2 B = 19 456 B.
    const slow = durations(clusterOf({ X }, {}, 1));
    expect(slow.get('layer0.down_proj')).toBe(80);
    const some = durations(clusterOf({ X }, {}, 19_456 / 30));
    expect(some.get('layer0.down_proj')).toBe(30 + 2 * 50);
  });

  it('each kind of device has its own cap', () => {
    const ffn = { hardware: 'Y', tp_size: 1, npu_mem: { mem_size: 24, mem_bw: 1e9 } };
    const cluster = clusterOf({ X: constants, Y: X }, { ffn: { ...ffn, micro_batches: 1 } });
    const mixed = durations(cluster);
    expect(mixed.get('layer1.part0.qkv_proj')).toBe(80);
    expect(mixed.get('layer1.part0.gate_up_proj')).toBe(160);
  });

  it('is the profile itself where the cap cannot be reached', () => {
    const cluster = clusterOf({ X: { ...constants, power_cap: 810 } });
    const [instance] = cluster.instances;
    expect(powerCapOf(cluster, instance)).toBeUndefined();
    const base = exampleLatency(fusedOperators);
    expect(cappedClock(base, instance, undefined)).toBe(base);
    expect(() => durations(clusterOf({ X: { ...X, power_cap: 10 } }))).toThrow(
      'nodes[0].power.npu.X: power_cap of 10 W: an idle device draws 10 W',
    );
  });
});
