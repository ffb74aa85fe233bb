/**
 * The power meter on steps whose energy is worked out by hand, and its two invariants on random
 * histories: components add up to the total, states to the wall time of every device.
 */
import { bytesPerGiB, nsPerS, Random } from '@astrolabe/base';
import {
  type Cluster,
  type Instance,
  type PowerFile,
  parseModel,
  powerSchema,
  resolveEngine,
} from '@astrolabe/config';
import { tinyModel } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { type Joules, powerComponents, sumJoules } from './components.js';
import { deviceTraffic } from './memory-traffic.js';
import type { StepPower } from './operator-power.js';
import { createPowerMeter, type PowerReading } from './power-meter.js';
import { meterReadings, powerRows, requestEnergyRows, summarisePower } from './power-report.js';

const model = parseModel('tiny', tinyModel, 'test');

const power: PowerFile = {
  base_node_power: 100,
  npu: {
    X: {
      idle_power: 10,
      standby_power: 30,
      active_power: 110,
      standby_duration: 2,
      hbm_energy_per_bit: 0,
      hbm_in_board_power: true,
    },
  },
  cpu: { idle_power: 10, active_power: 110, util: 0.5 },
  dram: { dimm_size: 32, idle_power: 4, energy_per_bit: 6 },
  link: { num_links: 2, idle_power: 5, energy_per_bit: 4 },
  nic: { num_nics: 1, idle_power: 11 },
  storage: { num_devices: 1, idle_power: 6, energy_per_bit: 0 },
};

function instance(index: number, tp: number, firstNpu: number): Instance {
  return {
    index,
    name: `instance${index}`,
    place: 'test',
    node: 0,
    model,
    hardware: 'X',
    role: 'colocated',
    tp,
    pp: 1,
    ep: 1,
    dpGroup: undefined,
    npus: Array.from({ length: tp }, (_, i) => firstNpu + i),
    memory: { sizeBytes: 1e9, bandwidthGBps: 1, latencyNs: 0, utilization: 0.9 },
    engine: resolveEngine('bfloat16'),
    placement: undefined,
  };
}

function cluster(instances: readonly Instance[], constants: PowerFile | undefined): Cluster {
  const hostMemory = { sizeBytes: 128 * bytesPerGiB, bandwidthGBps: 100, latencyNs: 0 };
  return {
    nodes: [
      { index: 0, place: 'c.json: nodes[0]', hostMemory, hostLinkGBps: 26.8, power: constants },
    ],
    instances,
    numNpus: instances.reduce((sum, entry) => sum + npusOf(entry).length, 0),
    linkBandwidthGBps: [1],
    linkLatencyNs: [0],
    cxl: undefined,
  };
}

interface Step {
  instance: number;
  startS: number;
  endS: number;
  busyS?: number;
  commBytes?: number;
  memoryBytes?: number;
  /** Of every request of the run; absent: they take turns with a token each. */
  newTokens?: number[];
}

/** With Y for its feed-forward blocks. */
function apart(index: number, tp: number, ffnTp: number, microBatches = 1): Instance {
  const own = instance(index, tp, 0);
  const npus = Array.from({ length: ffnTp }, (_, i) => tp + i);
  return { ...own, ffn: { hardware: 'Y', tp: ffnTp, npus, memory: own.memory, microBatches } };
}

function npusOf({ npus, ffn }: Instance): number[] {
  return [...npus, ...(ffn?.npus ?? [])];
}

function measure(
  subject: Cluster,
  steps: readonly Step[],
  endS: number,
  requests = 1,
  stepPower?: StepPower,
) {
  const meter = createPowerMeter(subject, nsPerS, requests, 0, stepPower);
  if (meter === undefined) return undefined;
  const iterations = new Map<number, number>();
  for (const step of steps) {
    const iteration = iterations.get(step.instance) ?? 0;
    iterations.set(step.instance, iteration + 1);
    const startNs = step.startS * nsPerS;
    const finishNs = step.endS * nsPerS;
    meter.onIteration({
      instance: step.instance,
      iteration,
      releaseNs: startNs,
      requests: step.newTokens?.map((_, request) => request) ?? [iteration % requests],
      newTokens: step.newTokens ?? [1],
      contextTokens: step.newTokens?.map(() => 0) ?? [0],
    });
    meter.onCompletion({
      instance: step.instance,
      iteration,
      lane: 0,
      startNs,
      finishNs,
      npus: npusOf(subject.instances[step.instance]).map((npu) => ({
        npu,
        startNs,
        finishNs,
        computeNs: (step.busyS ?? step.endS - step.startS) * nsPerS,
        exposedCommNs: 0,
        exposedMemoryNs: 0,
      })),
      commBytes: step.commBytes ?? 0,
      memoryBytes: step.memoryBytes ?? 0,
    });
  }
  return meter.finish(endS * nsPerS);
}

describe('power meter', () => {
  const one = cluster([instance(0, 1, 0)], power);

  it('adds up by hand: one step of 2 s in a run of 10 s', () => {
    const reading = measure(one, [{ instance: 0, startS: 1, endS: 3 }], 10) as PowerReading;
    const joules = reading.system.total();
    expect(joules.base).toBeCloseTo(1000, 6);
    // 1 s idle, 2 s active, 2 s standby, 5 s idle.
    expect(joules.accelerator).toBeCloseTo(10 + 220 + 60 + 50, 6);
    // 60 W throughout, 20 W more while the step runs.
    expect(joules.cpu).toBeCloseTo(600 + 40, 6);
    expect(joules.hostMemory).toBeCloseTo(4 * 4 * 10, 6);
    expect([joules.link, joules.nic, joules.storage]).toEqual([100, 110, 60]);
    expect(reading.devices).toEqual([
      { npu: 0, instance: 0, idleNs: 6 * nsPerS, standbyNs: 2 * nsPerS, activeNs: 2 * nsPerS },
    ]);
    // Idle 100 + 10 + 60 + 16 + 10 + 11 + 6 = 213 W; active 100 + 20 W more.
    const watts = powerRows(reading).filter((row) => row.scope === 'system');
    expect(watts.map((row) => Number(row.powerW))).toEqual(
      [213, 333, 333, 233, 233, 213, 213, 213, 213, 213].map((w) => expect.closeTo(w, 6)),
    );
  });

  it('a step draws what its operators do, where that is known, within the cap', () => {
    const stepPower: StepPower = {
      measured: ['X'],
      watts: ({ iteration }) => new Map([[0, [70, 500, 90][iteration]]]),
    };
    const steps = [0, 1, 2].map((second) => ({ instance: 0, startS: second, endS: second + 1 }));
    const reading = measure(one, steps, 3, 3, stepPower) as PowerReading;
    expect(reading.system.total().accelerator).toBeCloseTo(70 + 500 + 90, 6);
    // What is above idle is the requests', with 20 W of the CPU.
    expect([...reading.requestJ]).toEqual([80, 510, 100].map((w) => expect.closeTo(w, 6)));
    expect(summarisePower(reading, []).byOperator).toEqual(['X']);
    const npu = { X: { ...power.npu.X, power_cap: 200 } };
    const capped = cluster([instance(0, 1, 0)], { ...power, npu });
    expect(measure(capped, steps, 3, 3, stepPower)?.system.total().accelerator).toBeCloseTo(360, 6);
    expect(summarisePower(measure(one, steps, 3) as PowerReading, []).byOperator).toBeUndefined();
  });

  it('engines of one host share its cores: together they take all of them, not more', () => {
    const four = [0, 1, 2, 3].map((index) => instance(index, 1, index));
    const steps = four.map(({ index }) => ({ instance: index, startS: 0, endS: 1 }));
    // Half is used with no step running; each step would add 20 W, all four the other 50 W.
    expect(measure(cluster(four, power), steps, 1)?.system.total().cpu).toBeCloseTo(110, 6);
    expect(measure(cluster(four, power), [steps[0]], 1)?.system.total().cpu).toBeCloseTo(72.5, 6);
  });

  it('a step costs its requests by their tokens', () => {
    const step = { instance: 0, startS: 0, endS: 1, newTokens: [3, 1] };
    const requestJ = measure(one, [step], 1, 2)?.requestJ ?? [];
    // 100 W of the device above idle and 20 W of the CPU.
    expect([...requestJ]).toEqual([90, 30].map((joules) => expect.closeTo(joules, 6)));
  });

  it('DIMMs are whole', () => {
    const hostMemory = { sizeBytes: 120 * bytesPerGiB, bandwidthGBps: 100, latencyNs: 0 };
    const smaller = { ...one, nodes: [{ ...one.nodes[0], hostMemory }] };
    expect(measure(smaller, [], 10)?.system.total().hostMemory).toBeCloseTo(3 * 4 * 10, 6);
  });

  it('parts of the node that the file leaves out draw nothing', () => {
    const devices = powerSchema.parse({ npu: power.npu });
    const step = { instance: 0, startS: 0, endS: 2, commBytes: 1e12, memoryBytes: 2e12 };
    const measured = measure(cluster([instance(0, 1, 0)], devices), [step], 2) as PowerReading;
    const joules = measured.system.total();
    expect(joules.accelerator).toBeCloseTo(220, 6);
    expect(sumJoules(joules)).toBeCloseTo(220, 6);
  });

  it('waiting inside a step is standby, and bits cost on every path', () => {
    const step = { instance: 0, startS: 0, endS: 2, busyS: 1, commBytes: 1e12, memoryBytes: 2e12 };
    const reading = measure(one, [step], 2) as PowerReading;
    const joules = reading.system.total();
    expect(joules.accelerator).toBeCloseTo(110 + 30, 6);
    expect(joules.link).toBeCloseTo(20 + 8 * 4, 6);
    expect(joules.hostMemory).toBeCloseTo(32 + 2 * 8 * 6, 6);
  });

  it('own memory is carved out of board power, or added when the board excludes it', () => {
    const tp2 = [instance(0, 2, 0)];
    const constants = (inBoard: boolean, perBit = 1000): PowerFile => ({
      ...power,
      npu: { X: { ...power.npu.X, hbm_energy_per_bit: perBit, hbm_in_board_power: inBoard } },
    });
    const step = [{ instance: 0, startS: 0, endS: 1 }];
    const carved = measure(cluster(tp2, constants(true)), step, 1)?.system.total();
    const added = measure(cluster(tp2, constants(false)), step, 1)?.system.total();
    const plain = measure(cluster(tp2, power), step, 1)?.system.total();
    expect(carved?.acceleratorMemory).toBeGreaterThan(0);
    expect((carved?.accelerator ?? 0) + (carved?.acceleratorMemory ?? 0)).toBeCloseTo(220, 6);
    expect(plain?.accelerator).toBeCloseTo(220, 6);
    expect(added?.accelerator).toBeCloseTo(220, 6);
    expect(added?.acceleratorMemory).toBeCloseTo(carved?.acceleratorMemory ?? 0, 9);
    // Bits that would cost more than the board draws cost what it draws.
    const all = measure(cluster(tp2, constants(true, 1e12)), step, 1)?.system.total();
    expect([all?.accelerator, all?.acceleratorMemory]).toEqual([0, 220]);
  });

  it('a meter that lags shows a step as its response, and the same energy in the end', () => {
    expect(createPowerMeter(one, nsPerS, 1, nsPerS / 2)?.finish(0).lagNs).toBe(nsPerS / 2);
    const reading = {
      ...(measure(one, [{ instance: 0, startS: 1, endS: 4 }], 40) as PowerReading),
      lagNs: nsPerS / 2,
    };
    const shown = meterReadings(reading, reading.system);
    // From 213 to 333 W at 1 s: 1 - 0.5 (1 - e^-2) of the step in the first second.
    expect(shown[0]).toBeCloseTo(213, 6);
    expect(shown[1]).toBeCloseTo(213 + 120 * (1 - 0.5 * (1 - Math.exp(-2))), 6);
    const sum = (watts: readonly number[]): number => watts.reduce((a, b) => a + b, 0);
    expect(sum(shown)).toBeCloseTo(sumJoules(reading.system.total()), 3);
  });

  it('a cap bounds the active power, devices without an instance idle', () => {
    const capped: PowerFile = {
      ...power,
      npu: { X: { ...power.npu.X, power_cap: 60 } },
      idle_npus: { X: 3 },
    };
    const steps = [{ instance: 0, startS: 0, endS: 1 }];
    const reading = measure(cluster([instance(0, 1, 0)], capped), steps, 1);
    expect(reading?.system.total().accelerator).toBeCloseTo(60 + 3 * 10, 6);
  });

  it('a cap bounds board and memory together where they are apart', () => {
    const constants = { ...power.npu.X, hbm_energy_per_bit: 1e6, hbm_in_board_power: false };
    const steps = [{ instance: 0, startS: 0, endS: 1 }];
    const total = (npu: object): Joules | undefined => {
      const file = { ...power, npu: { X: { ...constants, ...npu } } };
      return measure(cluster([instance(0, 1, 0)], file), steps, 1)?.system.total();
    };
    const free = total({});
    const memoryJ = free?.acceleratorMemory ?? 0;
    expect(memoryJ).toBeGreaterThan(1);
    const capped = total({ power_cap: 109 + memoryJ });
    expect(capped?.acceleratorMemory).toBe(memoryJ);
    expect(free?.accelerator).toBeCloseTo(110, 9);
    expect(capped?.accelerator).toBeCloseTo(109, 9);
  });

  it('tells which caps are below what devices draw', () => {
    const capsOf = (npu: object) => {
      const file = { ...power, npu: { X: { ...power.npu.X, ...npu } } };
      return measure(cluster([instance(0, 2, 0)], file), [], 1)?.caps;
    };
    expect(capsOf({ power_cap: 110 })).toEqual([]);
    // 100 W above idle, of which 12.5 are allowed: half the clock.
    expect(capsOf({ power_cap: 22.5 })).toEqual([
      { node: 0, hardware: 'X', capW: 22.5, activeW: 110, computeSlowdown: 2 },
    ]);
    expect(() => capsOf({ power_cap: 10 })).toThrow(/npu\.X: power_cap of 10 W: an idle device/);
  });

  it('refuses a device without constants, and needs no power block', () => {
    const other = { ...instance(0, 1, 0), hardware: 'Y' };
    expect(() => measure(cluster([other], power), [], 1)).toThrow(
      /^c\.json: nodes\[0\]\.power\.npu: has no constants for Y/,
    );
    expect(measure(cluster([other], undefined), [], 1)).toBeUndefined();
  });

  describe('feed-forward blocks on devices of their own', () => {
    const y = { ...power.npu.X, idle_power: 20, standby_power: 40, active_power: 220 };
    const constants: PowerFile = {
      ...power,
      npu: { X: { ...power.npu.X, hbm_energy_per_bit: 50 }, Y: { ...y, hbm_energy_per_bit: 70 } },
    };

    it('every device of both kinds is counted, and their energies add up', () => {
      const subject = cluster([apart(0, 2, 2), instance(1, 1, 4)], constants);
      const steps = [
        { instance: 0, startS: 0, endS: 1, busyS: 0.5 },
        { instance: 1, startS: 0.5, endS: 2 },
        { instance: 0, startS: 3, endS: 4 },
      ];
      const { system, devices, instances } = measure(subject, steps, 10) as PowerReading;
      expect(devices.map(({ npu }) => npu)).toEqual([0, 1, 2, 3, 4]);
      let joules = 0;
      for (const { npu, instance: owner, idleNs, standbyNs, activeNs } of devices) {
        const feedForward = npu === 2 || npu === 3;
        expect(owner).toBe(npu === 4 ? 1 : 0);
        expect(idleNs + standbyNs + activeNs).toBe(10 * nsPerS);
        if (owner === 0) expect(activeNs).toBe(1.5 * nsPerS);
        const [idle, standby, active] = feedForward ? [20, 40, 220] : [10, 30, 110];
        joules += (idle * idleNs + standby * standbyNs + active * activeNs) / nsPerS;
      }
      const { accelerator, acceleratorMemory } = system.total();
      expect(accelerator + acceleratorMemory).toBeCloseTo(joules, 6);
      const own = instances.map((series) => (series === undefined ? 0 : sumJoules(series.total())));
      expect(own[0] + own[1]).toBeCloseTo(joules, 6);
    });

    it('both pools together move what one device would, and weights again for every part', () => {
      const step = { requests: [0, 1], newTokens: [5, 1], contextTokens: [0, 9] };
      const [together] = deviceTraffic(instance(0, 1, 0))(step);
      const [attention, feedForward] = deviceTraffic(apart(0, 1, 1))(step);
      expect(attention + feedForward).toBe(together);
      // Gate, up and down of both layers, bf16; seven activations of 128 and two of 64 a token.
      const weights = 2 * 3 * 64 * 128 * 2;
      expect(feedForward).toBe(weights + 6 * 2 * (6 * 128 + 2 * 64) * 2);
      const halves = deviceTraffic(apart(0, 1, 1, 2))(step);
      expect(halves[1]).toBe(feedForward + weights);
      // Norms, q, k, v and o of both layers.
      expect(halves[0]).toBe(attention + 2 * (2 * 64 + 4 * 64 * 64) * 2);
    });

    it('constants are those of the device', () => {
      const subject = cluster([apart(0, 1, 1)], power);
      expect(() => measure(subject, [], 1)).toThrow('has no constants for Y');
    });
  });

  it('components, states, intervals and requests always add up', () => {
    const subject = cluster([instance(0, 2, 0), instance(1, 1, 2)], {
      ...power,
      npu: { X: { ...power.npu.X, hbm_energy_per_bit: 5 } },
    });
    for (let seed = 0; seed < 100; seed++) {
      const random = new Random(seed, 'power');
      const steps: Step[] = [];
      const freeAt = [0, 0];
      for (let i = 0; i < 30; i++) {
        const which = random.below(2);
        // A step may begin before its predecessor on the instance ended (pipeline stages).
        const startS = Math.max(0, freeAt[which] - 0.1 + random.below(40) / 10);
        const endS = Math.max(startS, freeAt[which]) + random.below(20) / 10;
        freeAt[which] = endS;
        const busyS = (endS - startS) * random.uniform();
        steps.push({ instance: which, startS, endS, busyS, commBytes: random.below(1e9) });
      }
      const endS = Math.max(...freeAt) + 3;
      const reading = measure(subject, steps, endS, 4) as PowerReading;
      const total = reading.system.total();
      const energyJ = sumJoules(total);
      let seriesJ = 0;
      for (let i = 0; i < reading.system.numIntervals; i++) {
        seriesJ += sumJoules(reading.system.interval(i));
      }
      expect(seriesJ).toBeCloseTo(energyJ, 4);
      for (const name of powerComponents) expect(total[name]).toBeGreaterThanOrEqual(0);
      for (const device of reading.devices) {
        const sum = device.idleNs + device.standbyNs + device.activeNs;
        expect(sum / nsPerS).toBeCloseTo(endS, 6);
      }
      const result = (request: number) =>
        ({ request, promptTokens: 3, outputTokens: 2, status: 'finished' }) as never;
      const results = [0, 1, 2, 3].map(result);
      const perRequest = requestEnergyRows(reading, results);
      const sum = perRequest.reduce((joules, row) => joules + Number(row.energyJ), 0);
      expect(sum).toBeCloseTo(energyJ, 4);
      expect(summarisePower(reading, results).energyPerRequestJ).toBeCloseTo(energyJ / 4, 6);
    }
  });
});
