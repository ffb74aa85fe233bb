/**
 * The congestion-aware network: every directed link carries one message at a time, first come first
 * served. A message moves whole, link by link (store and forward); at a switch it may instead cut
 * through. Dimensions are crossed in ascending order. Times ns, sizes bytes.
 */
import type { Core, Network } from '../core.js';
import type { LinkCounters } from '../counters.js';
import { Kind } from '../kernel/kinds.js';
import { bytesPerNs, type DimensionSpec, type LevelSpec } from './topology.js';

/** Directed links and the way through them. */
export interface LinkMap {
  readonly count: number;
  readonly latencyNs: Float64Array;
  readonly bytesPerNs: Float64Array;
  /** A cut-through link: a message that finds it free passes without being sent anew. */
  readonly cutThrough: Uint8Array;
  /** The link a message takes at `device` on its way to NPU `dst`. */
  next(device: number, src: number, dst: number): number;
  /** Device at the link's end: an NPU, or numNpus + k for a switch. */
  target(link: number, src: number, dst: number): number;
  /** Dimension (or level), and the NPUs at both ends; -1 = a switch. */
  ends(link: number): readonly [dim: number, from: number, to: number];
}

export interface LinkTraffic {
  readonly link: number;
  readonly bytes: number;
  readonly busyNs: number;
  readonly messages: number;
}

export class AwareNetwork implements Network {
  private readonly map: LinkMap;
  /**
   * When the message on the link has left it, and the place in the order of events at which that is
   * noticed. An event of its own is there only while others wait for the link.
   */
  private readonly doneNs: Float64Array;
  private readonly donePlace: Float64Array;
  private readonly doneScheduled: Uint8Array;
  private readonly head: Int32Array;
  private readonly tail: Int32Array;
  private readonly linkBytes: Float64Array;
  private readonly linkBusyNs: Float64Array;
  private readonly linkMessages: Float64Array;
  /** When a cut-through link's last message has passed. */
  private readonly freeAt: Float64Array;
  /** How long each message took to pass the link it came by. */
  private passedNs = new Float64Array(256);

  constructor(map: LinkMap) {
    this.map = map;
    this.doneNs = new Float64Array(map.count).fill(-1);
    this.donePlace = new Float64Array(map.count);
    this.doneScheduled = new Uint8Array(map.count);
    this.head = new Int32Array(map.count).fill(-1);
    this.tail = new Int32Array(map.count).fill(-1);
    this.linkBytes = new Float64Array(map.count);
    this.linkBusyNs = new Float64Array(map.count);
    this.linkMessages = new Float64Array(map.count);
    this.freeAt = new Float64Array(map.count);
  }

  send(core: Core, message: number): void {
    this.forward(core, message, core.messageSrc[message]);
  }

  handle(core: Core, kind: number, arg: number): void {
    if (kind === Kind.linkDone) {
      this.linkDone(core, arg);
      return;
    }
    const device = core.messageHop[arg];
    if (device === core.messageDst[arg]) core.arrive(arg);
    else this.forward(core, arg, device);
  }

  counters(): LinkCounters[] {
    return this.traffic().map(({ link, ...counts }) => ({
      name: linkName(this.map.ends(link)),
      ...counts,
    }));
  }

  /** Of every link that carried something. */
  traffic(): LinkTraffic[] {
    const found: LinkTraffic[] = [];
    for (let link = 0; link < this.map.count; link++) {
      const messages = this.linkMessages[link];
      if (messages === 0) continue;
      found.push({ link, bytes: this.linkBytes[link], busyNs: this.linkBusyNs[link], messages });
    }
    return found;
  }

  /** Counts what went over the links without being an event here. */
  addTraffic(links: readonly LinkTraffic[]): void {
    for (const { link, bytes, busyNs, messages } of links) {
      this.linkBytes[link] += bytes;
      this.linkBusyNs[link] += busyNs;
      this.linkMessages[link] += messages;
    }
  }

  private forward(core: Core, message: number, device: number): void {
    const link = this.map.next(device, core.messageSrc[message], core.messageDst[message]);
    if (this.map.cutThrough[link] !== 0) {
      this.passThrough(core, message, link);
      return;
    }
    const { queue } = core;
    if (this.doneScheduled[link] === 0) {
      const doneNs = this.doneNs[link];
      const place = this.donePlace[link];
      if (queue.isPast(doneNs, place)) {
        this.start(core, message, link);
        return;
      }
      queue.scheduleAt(doneNs, place, Kind.linkDone, link);
      this.doneScheduled[link] = 1;
    }
    core.messageNext[message] = -1;
    if (this.tail[link] < 0) this.head[link] = message;
    else core.messageNext[this.tail[link]] = message;
    this.tail[link] = message;
  }

  private start(core: Core, message: number, link: number): void {
    const { map } = this;
    const { queue } = core;
    const size = core.messageSize[message];
    const serial = size / map.bytesPerNs[link];
    const holdNs = Math.trunc(serial);
    const now = queue.time;
    core.messageHop[message] = map.target(link, core.messageSrc[message], core.messageDst[message]);
    this.count(link, size, holdNs);
    if (message >= this.passedNs.length) this.passedNs = grown(this.passedNs, message);
    this.passedNs[message] = holdNs;
    queue.schedule(now + Math.trunc(map.latencyNs[link] + serial), Kind.linkArrive, message);
    // ASTRA-sim dies of events at time 0, so one there must be seen.
    if (holdNs === 0 || this.head[link] >= 0) {
      queue.schedule(now + holdNs, Kind.linkDone, link);
      this.doneScheduled[link] = 1;
      return;
    }
    this.doneNs[link] = now + holdNs;
    this.donePlace[link] = queue.reserve(now + holdNs);
  }

  private linkDone(core: Core, link: number): void {
    this.doneScheduled[link] = 0;
    this.doneNs[link] = -1;
    const message = this.head[link];
    if (message < 0) return;
    this.head[link] = core.messageNext[message];
    if (this.head[link] < 0) this.tail[link] = -1;
    this.start(core, message, link);
  }

  /**
   * The message's tail is here now and its head was here before; it leaves from then on, unless others
   * before it hold the link or the link is slower than the one it came by.
   */
  private passThrough(core: Core, message: number, link: number): void {
    const { map } = this;
    const size = core.messageSize[message];
    const serial = Math.trunc(size / map.bytesPerNs[link]);
    const now = core.queue.time;
    const headNs = now - this.passedNs[message];
    const done = Math.max(now, Math.max(headNs, this.freeAt[link]) + serial);
    this.freeAt[link] = done;
    core.messageHop[message] = map.target(link, core.messageSrc[message], core.messageDst[message]);
    this.count(link, size, serial);
    core.queue.schedule(done + Math.trunc(map.latencyNs[link]), Kind.linkArrive, message);
  }

  private count(link: number, bytes: number, busyNs: number): void {
    this.linkBytes[link] += bytes;
    this.linkBusyNs[link] += busyNs;
    this.linkMessages[link]++;
  }
}

function grown(array: Float64Array, index: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(Math.max(array.length * 2, index + 1));
  larger.set(array);
  return larger;
}

interface DimensionLinks {
  readonly spec: DimensionSpec;
  /** Distance in id of neighbours along the dimension. */
  readonly stride: number;
  /** First link, and the first switch device. */
  readonly firstLink: number;
  readonly firstSwitch: number;
}

interface LinkMapOptions {
  /** Switches begin to send on before a message is whole, so they cost no second serialization. */
  readonly cutThrough: boolean;
}

/** Links of a machine of dimensions; routes cross them in ascending order, the shorter way. */
export function dimensionLinks(
  specs: readonly DimensionSpec[],
  numNpus: number,
  options: LinkMapOptions,
): LinkMap {
  const dims: DimensionLinks[] = [];
  let links = 0;
  let switches = numNpus;
  let stride = 1;
  for (const spec of specs) {
    dims.push({ spec, stride, firstLink: links, firstSwitch: switches });
    links += numNpus * (spec.kind === 'FullyConnected' ? spec.npus : 2);
    if (spec.kind === 'Switch') switches += numNpus;
    stride *= spec.npus;
  }
  const latencyNs = new Float64Array(links);
  const rate = new Float64Array(links);
  const cut = new Uint8Array(links);
  dims.forEach(({ spec, firstLink }, d) => {
    const end = d + 1 < dims.length ? dims[d + 1].firstLink : links;
    latencyNs.fill(spec.latencyNs, firstLink, end);
    rate.fill(bytesPerNs(spec.bandwidthGBps), firstLink, end);
    if (spec.kind === 'Switch' && options.cutThrough) cut.fill(1, firstLink + numNpus, end);
  });
  const at = (npu: number, dim: DimensionLinks): number =>
    Math.trunc(npu / dim.stride) % dim.spec.npus;
  return {
    count: links,
    latencyNs,
    bytesPerNs: rate,
    cutThrough: cut,
    next(device, src, dst) {
      if (device >= numNpus) return switchDown(dims, numNpus, device, dst);
      if (src === dst) return dims[0].firstLink + device;
      return nextLink(dims, numNpus, at, device, dst);
    },
    target(link) {
      let d = dims.length - 1;
      while (dims[d].firstLink > link) d--;
      return linkTarget(dims[d], numNpus, at, link - dims[d].firstLink);
    },
    ends(link) {
      let d = dims.length - 1;
      while (dims[d].firstLink > link) d--;
      return linkEnds(dims[d], d, numNpus, at, link - dims[d].firstLink);
    },
  };
}

type Position = (npu: number, dim: DimensionLinks) => number;

function nextLink(
  dims: readonly DimensionLinks[],
  numNpus: number,
  at: Position,
  device: number,
  dst: number,
): number {
  for (const dim of dims) {
    const from = at(device, dim);
    const to = at(dst, dim);
    if (from === to) continue;
    const { kind, npus } = dim.spec;
    switch (kind) {
      case 'FullyConnected':
        return dim.firstLink + device * npus + to;
      case 'Switch':
        return dim.firstLink + device;
      case 'Mesh':
        return dim.firstLink + (to > from ? 0 : numNpus) + device;
      default: {
        const clockwise = (to - from + npus) % npus;
        return dim.firstLink + (clockwise <= npus - clockwise ? 0 : numNpus) + device;
      }
    }
  }
  return -1;
}

/** A switch device is named after the NPU it was reached from: dimension and group follow. */
function switchDown(
  dims: readonly DimensionLinks[],
  numNpus: number,
  device: number,
  dst: number,
): number {
  let d = dims.length - 1;
  while (dims[d].spec.kind !== 'Switch' || dims[d].firstSwitch > device) d--;
  const dim = dims[d];
  const from = device - dim.firstSwitch;
  const { stride, spec } = dim;
  const position = (npu: number): number => Math.trunc(npu / stride) % spec.npus;
  const below = from + (position(dst) - position(from)) * stride;
  return dim.firstLink + numNpus + below;
}

function linkTarget(dim: DimensionLinks, numNpus: number, at: Position, index: number): number {
  const { spec, stride } = dim;
  if (spec.kind === 'FullyConnected') {
    const npu = Math.trunc(index / spec.npus);
    return npu + ((index % spec.npus) - at(npu, dim)) * stride;
  }
  const back = index >= numNpus;
  const npu = back ? index - numNpus : index;
  if (spec.kind === 'Switch') return back ? npu : dim.firstSwitch + npu;
  const here = at(npu, dim);
  const there = (here + (back ? -1 : 1) + spec.npus) % spec.npus;
  return npu + (there - here) * stride;
}

function linkEnds(
  dim: DimensionLinks,
  d: number,
  numNpus: number,
  at: Position,
  index: number,
): [number, number, number] {
  const end = linkTarget(dim, numNpus, at, index);
  if (dim.spec.kind === 'FullyConnected') return [d, Math.trunc(index / dim.spec.npus), end];
  const npu = index >= numNpus ? index - numNpus : index;
  if (dim.spec.kind !== 'Switch') return [d, npu, end];
  return index >= numNpus ? [d, -1, npu] : [d, npu, -1];
}

function linkName([dim, from, to]: readonly [number, number, number]): string {
  const device = (npu: number): string => (npu < 0 ? 'switch' : String(npu));
  return `dim${dim}: ${device(from)}->${device(to)}`;
}

/**
 * Links of a machine of levels: per level every port, which is an NPU's own unless said otherwise, has
 * one way out and one way in; at most as many ports as NPUs. The way in is cut
 * through, so a lone message pays one latency and one serialization, and messages to one NPU queue.
 */
export function levelLinks(levels: readonly LevelSpec[], numNpus: number): LinkMap {
  const count = levels.length * 2 * numNpus;
  const latencyNs = new Float64Array(count);
  const rate = new Float64Array(count);
  const cut = new Uint8Array(count);
  levels.forEach((level, l) => {
    const first = l * 2 * numNpus;
    latencyNs.fill(level.latencyNs, first, first + numNpus);
    rate.fill(bytesPerNs(level.bandwidthGBps), first, first + 2 * numNpus);
    cut.fill(1, first + numNpus, first + 2 * numNpus);
  });
  const last = levels.length - 1;
  const levelOf = (src: number, dst: number): number => {
    let l = 0;
    while (l < last && levels[l].domain[src] !== levels[l].domain[dst]) l++;
    return l;
  };
  const outPort = ({ port, rails }: LevelSpec, src: number, dst: number): number => {
    if (port === undefined) return src;
    if (rails === undefined) return port[src];
    return port[src] - (port[src] % rails) + (port[dst] % rails);
  };
  return {
    count,
    latencyNs,
    bytesPerNs: rate,
    cutThrough: cut,
    next: (device, src, dst) => {
      const l = levelOf(src, dst);
      const first = l * 2 * numNpus;
      if (device < numNpus) return first + outPort(levels[l], src, dst);
      return first + numNpus + (levels[l].port?.[dst] ?? dst);
    },
    target: (link, _src, dst) => (link % (2 * numNpus) >= numNpus ? dst : numNpus),
    ends(link) {
      const inner = link % (2 * numNpus);
      const level = Math.trunc(link / (2 * numNpus));
      return inner >= numNpus ? [level, -1, inner - numNpus] : [level, inner, -1];
    },
  };
}
