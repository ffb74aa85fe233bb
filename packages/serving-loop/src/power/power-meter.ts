/**
 * The power meter: reads the steps the engines submitted and what the machine says about them, after
 * the fact, and never feeds time back: under a cap the trace generator slows operators. Constants
 * come from the `power` block of each node; a node without one is not metered. Formulas:
 *
 *   accelerator = idle, standby, active power x time in that state, per device, idle ones included
 *   own memory  = bytes of every rank x 8 x energy per bit; part of board power unless said otherwise
 *   cpu         = idle + (active - idle) x utilisation, which rises while a step runs
 *   host DRAM   = idle per DIMM + bytes of tier traffic x 8 x energy per bit
 *   PIM         = idle power of all channels, peak power for the time a channel works
 *   link        = idle + bytes sent by every rank x 8 x energy per bit; NIC and storage likewise
 */
import { assert, bytesPerGiB, nsPerS, UserError } from '@astrolabe/base';
import {
  type Cluster,
  type Instance,
  npuHardware,
  type PimMemory,
  type PowerFile,
} from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import { type Iteration, type MemoryMove, type PimCost, pimCost } from '@astrolabe/trace-generator';
import { type BindingCap, bindingCaps } from './binding-caps.js';
import { EnergySeries, type PowerComponent } from './components.js';
import { DeviceStates, type StateTimes } from './device-states.js';
import { deviceTraffic, type TrafficModel } from './memory-traffic.js';
import type { StepPower } from './operator-power.js';

const joulesPerPicojoule = 1e-12;
/** LLMServingSim's: a serving host's cores are at 70 % while the engine steps. */
const defaultActiveUtilisation = 0.7;

export interface DeviceEnergy extends StateTimes {
  readonly npu: number;
  readonly instance: number;
}

export interface PowerReading {
  readonly intervalNs: number;
  readonly endNs: number;
  /** Time constant of the readings at the wall. */
  readonly lagNs: number;
  /** Accelerators, their memory and the tier and link traffic they cause, per instance. */
  readonly instances: readonly (EnergySeries | undefined)[];
  readonly nodes: readonly (EnergySeries | undefined)[];
  readonly system: EnergySeries;
  readonly devices: readonly DeviceEnergy[];
  readonly caps: readonly BindingCap[];
  /** Hardware that draws what its operators were measured to draw. */
  readonly byOperator: readonly string[];
  /** Energy above idle of the steps a request took part in, by its share of the tokens, J. */
  readonly requestJ: Float64Array;
}

export interface PowerMeter {
  onIteration(iteration: Iteration): void;
  onCompletion(completion: Completion): void;
  finish(endNs: number): PowerReading;
}

/**
 * @returns undefined when no node has a power block
 * @throws UserError a device of a metered node has no constants
 */
export function createPowerMeter(
  cluster: Cluster,
  intervalNs: number,
  numRequests: number,
  lagNs = 0,
  stepPower?: StepPower,
): PowerMeter | undefined {
  if (cluster.nodes.every((node) => node.power === undefined)) return undefined;
  for (const { power, index, place } of cluster.nodes) {
    if (power === undefined) continue;
    const used = cluster.instances.filter((instance) => instance.node === index);
    for (const hardware of [...used.flatMap(npuHardware), ...Object.keys(power.idle_npus ?? {})]) {
      if (hardware in power.npu) continue;
      throw new UserError(`has no constants for ${hardware}`, { at: `${place}.power.npu` });
    }
  }
  return new Meter(cluster, intervalNs, numRequests, lagNs, stepPower);
}

type NpuConstants = PowerFile['npu'][string];

interface MeteredDevice {
  readonly npu: number;
  readonly constants: NpuConstants;
  /** What it draws while it works, W: of the step under way where operators have powers. */
  activeW: number;
  readonly states: DeviceStates;
  /** Which entry of a step's traffic is this device's. */
  readonly part: number;
}

interface MeteredInstance {
  readonly instance: Instance;
  readonly power: PowerFile;
  readonly series: EnergySeries;
  readonly nodeSeries: EnergySeries;
  /** Feed-forward devices last. */
  readonly devices: readonly MeteredDevice[];
  readonly traffic: TrafficModel;
  readonly pending: Iteration[];
  readonly moving: Map<string, readonly MemoryMove[]>;
  readonly hostShare: number;
  readonly pim: PimCost | undefined;
  cursorNs: number;
  /** Energy above idle since the last step was taken in, J. */
  dynamicJ: number;
}

class Meter implements PowerMeter {
  private readonly cluster: Cluster;
  private readonly intervalNs: number;
  private readonly lagNs: number;
  private readonly metered: (MeteredInstance | undefined)[];
  private readonly nodes: (EnergySeries | undefined)[];
  private readonly requestJ: Float64Array;
  private readonly stepPower: StepPower | undefined;

  constructor(
    cluster: Cluster,
    intervalNs: number,
    numRequests: number,
    lagNs: number,
    stepPower: StepPower | undefined,
  ) {
    this.cluster = cluster;
    this.stepPower = stepPower;
    this.lagNs = lagNs;
    this.intervalNs = intervalNs;
    this.requestJ = new Float64Array(numRequests);
    this.nodes = cluster.nodes.map((node) =>
      node.power === undefined ? undefined : new EnergySeries(intervalNs),
    );
    this.metered = cluster.instances.map((instance) => this.meterOf(instance));
  }

  private meterOf(instance: Instance): MeteredInstance | undefined {
    const power = this.cluster.nodes[instance.node].power;
    const nodeSeries = this.nodes[instance.node];
    if (power === undefined || nodeSeries === undefined) return undefined;
    const hardware = npuHardware(instance);
    const { npus, tp, pp, ffn } = instance;
    const metered: MeteredInstance = {
      instance,
      power,
      series: new EnergySeries(this.intervalNs),
      nodeSeries,
      devices: [...npus, ...(ffn?.npus ?? [])].map((npu, position) => {
        const constants = power.npu[hardware[position]];
        const device: MeteredDevice = {
          npu,
          constants,
          activeW: withinCap(constants, constants.active_power),
          part: position < npus.length ? Math.floor(position / tp) : pp,
          states: this.statesOf(constants, () => ({ metered, device })),
        };
        return device;
      }),
      traffic: deviceTraffic(instance),
      pending: [],
      moving: new Map(),
      hostShare: this.cluster.instances.filter((other) => other.node === instance.node).length,
      pim: pimCost(this.cluster, instance),
      cursorNs: 0,
      dynamicJ: 0,
    };
    return metered;
  }

  /** @param owner asked only once there is time to spend */
  private statesOf(
    constants: NpuConstants,
    owner: () => { readonly metered: MeteredInstance; readonly device: MeteredDevice },
  ): DeviceStates {
    const { idle_power: idle, standby_power: standby } = constants;
    return new DeviceStates(constants.standby_duration * nsPerS, (state, from, to, ns) => {
      const { metered, device } = owner();
      const watts = { idle, standby, active: device.activeW };
      this.spend(metered, 'accelerator', from, to, (watts[state] * ns) / nsPerS);
      if (state === 'active') metered.dynamicJ += ((watts.active - idle) * ns) / nsPerS;
    });
  }

  onIteration(iteration: Iteration): void {
    const metered = this.metered[iteration.instance];
    if (iteration.moves === undefined) metered?.pending.push(iteration);
    else metered?.moving.set(moveName(iteration.lane ?? 0, iteration.iteration), iteration.moves);
  }

  onCompletion(completion: Completion): void {
    const metered = this.metered[completion.instance];
    if (metered === undefined) return;
    if (completion.lane !== 0) {
      this.transfer(metered, completion);
      return;
    }
    const iteration = metered.pending.shift();
    assert(
      iteration?.iteration === completion.iteration,
      'the power meter sees completions in the order of their iterations',
    );
    metered.dynamicJ = 0;
    this.accelerators(metered, iteration, completion);
    this.host(metered, completion);
    this.inMemory(metered, iteration, completion);
    this.attribute(metered, iteration);
    metered.cursorNs = Math.max(metered.cursorNs, completion.finishNs);
  }

  private accelerators(metered: MeteredInstance, step: Iteration, done: Completion): void {
    const partBytes = metered.traffic(step);
    const drawn = this.stepPower?.watts(step);
    for (const device of metered.devices) {
      const { npu, constants, states, part } = device;
      device.activeW = withinCap(constants, drawn?.get(npu) ?? constants.active_power);
      const times = done.npus.find((entry) => entry.npu === npu);
      const startNs = times?.startNs ?? done.startNs;
      const finishNs = times?.finishNs ?? done.finishNs;
      const busyNs =
        times === undefined ? finishNs - startNs : times.computeNs + times.exposedCommNs;
      const activeS = states.step(startNs, finishNs, busyNs) / nsPerS;
      const perBit = constants.hbm_energy_per_bit ?? metered.power.dram.energy_per_bit;
      const activeJ = device.activeW * activeS;
      const { memoryJ, carvedJ } = withMemory(
        constants,
        activeJ,
        activeS,
        bitsJ(partBytes[part], perBit),
      );
      this.spend(metered, 'accelerator', startNs, finishNs, -carvedJ);
      this.spend(metered, 'acceleratorMemory', startNs, finishNs, memoryJ);
      metered.dynamicJ += memoryJ - carvedJ;
    }
  }

  /** A transfer beside the steps: between instances, or to and from a tier over the host's links. */
  private transfer(metered: MeteredInstance, done: Completion): void {
    const { dram, link, storage } = metered.power;
    const spend = (component: PowerComponent, bytes: number, perBit: number): void =>
      this.spend(metered, component, done.startNs, done.finishNs, bitsJ(bytes, perBit));
    const name = moveName(done.lane, done.iteration);
    const moves = metered.moving.get(name);
    metered.moving.delete(name);
    for (const { tier, bytes } of moves ?? []) {
      spend('link', bytes, link.energy_per_bit);
      if (tier === 'storage') spend('storage', bytes, storage.energy_per_bit);
      else spend('hostMemory', bytes, dram.energy_per_bit);
    }
    if (moves !== undefined) return;
    spend('link', done.commBytes, link.energy_per_bit);
    spend('hostMemory', done.memoryBytes, dram.energy_per_bit);
  }

  /** Channel time of every layer and rank at what a working channel draws more than an idle one. */
  private inMemory(metered: MeteredInstance, step: Iteration, done: Completion): void {
    const memory = this.cluster.nodes[metered.instance.node].pim;
    if (metered.pim === undefined || memory === undefined) return;
    const { model, tp } = metered.instance;
    const load = { decodeCount: 0, decodeContextSum: 0, decodeContextLongest: 0 };
    for (let i = 0; i < step.newTokens.length; i++) {
      if (step.newTokens[i] !== 1 || step.contextTokens[i] === 0) continue;
      load.decodeCount++;
      load.decodeContextSum += step.contextTokens[i];
    }
    const channelS = (metered.pim.channelNs(load) * model.numLayers * tp) / nsPerS;
    const amountJ = channelS * Math.max(0, memory.peakW - memory.idleW);
    metered.dynamicJ += amountJ;
    this.spend(metered, 'pim', done.startNs, done.finishNs, amountJ);
  }

  private host(metered: MeteredInstance, done: Completion): void {
    const { power } = metered;
    const span = [done.startNs, done.finishNs] as const;
    const linkJ = bitsJ(done.commBytes, power.link.energy_per_bit);
    const dramJ = bitsJ(done.memoryBytes, power.dram.energy_per_bit);
    this.spend(metered, 'link', ...span, linkJ);
    this.spend(metered, 'hostMemory', ...span, dramJ);
    const from = Math.max(done.startNs, metered.cursorNs);
    const busyS = Math.max(0, done.finishNs - from) / nsPerS;
    const { idle_power: idle, active_power: active, util } = power.cpu;
    const rise = Math.max(
      0,
      (power.cpu.active_util ?? Math.max(defaultActiveUtilisation, util)) - util,
    );
    // Engines on one host share its cores: together they cannot take it beyond all of them.
    const share = Math.min(rise, (1 - util) / metered.hostShare);
    const cpuJ = (active - idle) * share * busyS;
    metered.nodeSeries.add('cpu', from, done.finishNs, cpuJ);
    metered.dynamicJ += linkJ + dramJ + cpuJ;
  }

  private attribute(metered: MeteredInstance, iteration: Iteration): void {
    const tokens = iteration.newTokens.reduce((sum, count) => sum + count, 0);
    if (tokens === 0) return;
    iteration.requests.forEach((request, i) => {
      this.requestJ[request] += (metered.dynamicJ * iteration.newTokens[i]) / tokens;
    });
  }

  private spend(
    metered: MeteredInstance,
    component: PowerComponent,
    startNs: number,
    endNs: number,
    amountJ: number,
  ): void {
    metered.series.add(component, startNs, endNs, amountJ);
    metered.nodeSeries.add(component, startNs, endNs, amountJ);
  }

  finish(endNs: number): PowerReading {
    const devices: DeviceEnergy[] = [];
    for (const metered of this.metered) {
      for (const { npu, states } of metered?.devices ?? []) {
        states.finish(endNs);
        devices.push({ npu, instance: metered?.instance.index ?? 0, ...states.times });
      }
    }
    const system = new EnergySeries(this.intervalNs);
    this.nodes.forEach((series, index) => {
      const { power, hostMemory, pim } = this.cluster.nodes[index];
      if (series === undefined || power === undefined) return;
      drawConstant(series, power, hostMemory.sizeBytes, pim, endNs);
      system.merge(series);
    });
    return {
      intervalNs: this.intervalNs,
      endNs,
      lagNs: this.lagNs,
      instances: this.metered.map((metered) => metered?.series),
      nodes: this.nodes,
      system,
      devices,
      caps: bindingCaps(this.cluster),
      byOperator: this.stepPower?.measured ?? [],
      requestJ: this.requestJ,
    };
  }
}

function withinCap({ power_cap: capW = Infinity }: NpuConstants, watts: number): number {
  return Math.min(watts, capW);
}

/** What memory draws, and how much of that comes out of the active energy. */
function withMemory(
  { hbm_in_board_power: inBoard, power_cap: capW = Infinity }: NpuConstants,
  activeJ: number,
  activeS: number,
  trafficJ: number,
): { memoryJ: number; carvedJ: number } {
  const memoryJ = inBoard ? Math.min(trafficJ, activeJ) : trafficJ;
  if (inBoard) return { memoryJ, carvedJ: memoryJ };
  const overJ = capW === Infinity ? 0 : activeJ + memoryJ - capW * activeS;
  return { memoryJ, carvedJ: Math.min(activeJ, Math.max(0, overJ)) };
}

function bitsJ(bytes: number, perBit: number): number {
  return bytes * 8 * perBit * joulesPerPicojoule;
}

function moveName(lane: number, iteration: number): string {
  return `${lane}/${iteration}`;
}

/** What a node draws all the time. */
function drawConstant(
  series: EnergySeries,
  power: PowerFile,
  hostBytes: number,
  pim: PimMemory | undefined,
  endNs: number,
): void {
  const constant = (component: PowerComponent, watts: number): void =>
    series.draw(component, 0, endNs, watts);
  constant('base', power.base_node_power);
  for (const [hardware, count] of Object.entries(power.idle_npus ?? {})) {
    constant('accelerator', count * power.npu[hardware].idle_power);
  }
  const { idle_power: idle, active_power: active, util } = power.cpu;
  constant('cpu', idle + (active - idle) * util);
  // A DIMM of "32 GB" holds 32 GiB, as the node's memory is counted.
  const dimms = Math.floor(hostBytes / ((power.dram.dimm_size ?? Infinity) * bytesPerGiB));
  if (pim === undefined) constant('hostMemory', dimms * (power.dram.idle_power ?? 0));
  else constant('pim', pim.numChannels * pim.idleW);
  constant('link', power.link.num_links * power.link.idle_power);
  constant('nic', power.nic.num_nics * power.nic.idle_power);
  constant('storage', power.storage.num_devices * power.storage.idle_power);
}
