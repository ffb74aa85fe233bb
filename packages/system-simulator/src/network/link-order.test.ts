/**
 * The order of messages on links against a model in which every link tells at once when it is free:
 * sends, sizes and times are chosen so that much happens at one instant.
 */
import { bytesPerGiB, nsPerS } from '@astrolabe/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Core } from '../core.js';
import { Kind } from '../kernel/kinds.js';
import { AwareNetwork, dimensionLinks, type LinkMap } from './aware.js';

interface Send {
  readonly src: number;
  readonly dst: number;
  readonly sizeBytes: number;
  readonly atNs: number;
}

const numNpus = 4;
/** GB/s of 2^30 that give a byte per ns. */
const bandwidthGBps = nsPerS / bytesPerGiB;

/** [message, time] in order of arrival. */
function simulated(map: LinkMap, sends: readonly Send[]): number[][] {
  const core = new Core(numNpus, new AwareNetwork(map));
  const found: number[][] = [];
  core.layers = (kind, i) => {
    const { src, dst, sizeBytes } = sends[i];
    if (kind === Kind.nodeEnd) core.send(src, dst, i, sizeBytes, Kind.customNodeEnd, i);
    else found.push([i, core.nowNs]);
  };
  sends.forEach(({ atNs }, i) => {
    core.queue.schedule(atNs, Kind.nodeEnd, i);
  });
  while (core.queue.pop()) core.dispatch(core.queue.kind, core.queue.arg);
  return found;
}

function modelled(map: LinkMap, sends: readonly Send[]): number[][] {
  const events: { time: number; order: number; run: () => void }[] = [];
  const waiting = Array.from({ length: map.count }, (): number[] => []);
  const found: number[][] = [];
  let now = 0;
  let order = 0;
  const schedule = (time: number, run: () => void): void => {
    events.push({ time, order: order++, run });
  };
  const begin = (link: number): void => {
    const i = waiting[link][0];
    const { src, dst, sizeBytes } = sends[i];
    const serialNs = sizeBytes / map.bytesPerNs[link];
    schedule(now + Math.trunc(map.latencyNs[link] + serialNs), () =>
      come(i, map.target(link, src, dst)),
    );
    schedule(now + Math.trunc(serialNs), () => {
      waiting[link].shift();
      if (waiting[link].length > 0) begin(link);
    });
  };
  const come = (i: number, device: number): void => {
    const { src, dst } = sends[i];
    if (device === dst) {
      found.push([i, now]);
      return;
    }
    const link = map.next(device, src, dst);
    waiting[link].push(i);
    if (waiting[link].length === 1) begin(link);
  };
  sends.forEach(({ src, atNs }, i) => {
    schedule(atNs, () => come(i, src));
  });
  for (;;) {
    const [next] = events.sort((a, b) => a.time - b.time || a.order - b.order);
    if (next === undefined) return found;
    events.shift();
    now = next.time;
    next.run();
  }
}

test('messages of one instant take links in the order in which they came', () => {
  const send = fc.record({
    src: fc.nat(numNpus - 1),
    hops: fc.integer({ min: 1, max: numNpus - 1 }),
    sizeBytes: fc.constantFrom(0, 1, 2, 2, 4),
    atNs: fc.constantFrom(0, 0, 1, 2, 2, 3, 4, 6, 8),
  });
  const shape = fc.record({
    kind: fc.constantFrom('Ring' as const, 'Switch' as const, 'Mesh' as const),
    latencyNs: fc.constantFrom(0, 1, 2),
  });
  fc.assert(
    fc.property(shape, fc.array(send, { minLength: 1, maxLength: 30 }), (of, plan) => {
      const dims = [{ ...of, npus: numNpus, bandwidthGBps }];
      const map = dimensionLinks(dims, numNpus, { cutThrough: false });
      const sends = plan.map(({ hops, ...one }) => ({ ...one, dst: (one.src + hops) % numNpus }));
      expect(simulated(map, sends)).toEqual(modelled(map, sends));
    }),
    { seed: 7, numRuns: 500 },
  );
});
