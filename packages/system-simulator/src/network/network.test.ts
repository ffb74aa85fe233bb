/**
 * Messages over networks of every shape, by hand: 64 B per ns and 100 ns per link unless said
 * otherwise, 6,400 bytes: 100 ns of sending, 200 ns to the next device.
 */
import { bytesPerGiB, nsPerS, UserError } from '@astrolabe/base';
import { expect, test } from 'vitest';
import { Core } from '../core.js';
import { Kind } from '../kernel/kinds.js';
import { createNetwork } from './create-network.js';
import type { DimensionSpec, NetworkSpec } from './topology.js';

const sizeBytes = 6400;
/** GB/s of 2^30 that give 64 bytes per ns. */
const bandwidthGBps = (64 * nsPerS) / bytesPerGiB;

function dim(kind: DimensionSpec['kind'], npus: number): DimensionSpec {
  return { kind, npus, bandwidthGBps, latencyNs: 100 };
}

/** Arrival times of messages sent together at time 0, in the order given. */
function arrivals(spec: NetworkSpec, messages: readonly (readonly [number, number])[]): number[] {
  const numNpus =
    spec.levels?.[0].domain.length ?? (spec.dims ?? []).reduce((n, { npus }) => n * npus, 1);
  const core = new Core(numNpus, createNetwork(spec, numNpus));
  const times = new Array<number>(messages.length).fill(Number.NaN);
  core.layers = (_kind, arg) => {
    times[arg] = core.nowNs;
  };
  messages.forEach(([src, dst], i) => {
    core.send(src, dst, i, sizeBytes, Kind.nodeEnd, i);
  });
  while (core.queue.pop()) core.dispatch(core.queue.kind, core.queue.arg);
  return times;
}

const aware = (dims: DimensionSpec[], more: Partial<NetworkSpec> = {}): NetworkSpec => ({
  congestion: 'aware',
  dims,
  ...more,
});
const unaware = (dims: DimensionSpec[], more: Partial<NetworkSpec> = {}): NetworkSpec => ({
  congestion: 'unaware',
  dims,
  ...more,
});

test('without congestion a message pays every hop and one serialization', () => {
  expect(
    arrivals(unaware([dim('Ring', 8)]), [
      [0, 3],
      [0, 6],
      [0, 3],
    ]),
  ).toEqual([400, 300, 400]);
  expect(arrivals(unaware([dim('Mesh', 8)]), [[0, 7]])).toEqual([800]);
  expect(arrivals(unaware([dim('Torus', 8)]), [[0, 7]])).toEqual([200]);
  expect(arrivals(unaware([dim('Switch', 8)]), [[0, 7]])).toEqual([300]);
});

test('several dimensions: all of them, or the first as ASTRA-sim', () => {
  const dims = [dim('Ring', 4), dim('Switch', 2)];
  expect(arrivals(unaware(dims), [[3, 4]])).toEqual([400]);
  expect(arrivals(unaware(dims, { routing: 'first' }), [[3, 4]])).toEqual([200]);
});

test('with congestion a message moves whole, link by link', () => {
  expect(arrivals(aware([dim('Ring', 8)]), [[0, 3]])).toEqual([600]);
  expect(arrivals(aware([dim('Switch', 8)], { cutThrough: false }), [[0, 3]])).toEqual([400]);
  expect(arrivals(aware([dim('FullyConnected', 8)]), [[0, 3]])).toEqual([200]);
  expect(arrivals(aware([dim('Mesh', 4)]), [[3, 0]])).toEqual([600]);
});

test('messages on one link go one after the other', () => {
  expect(
    arrivals(aware([dim('Ring', 8)]), [
      [0, 1],
      [0, 1],
      [0, 1],
    ]),
  ).toEqual([200, 300, 400]);
  // Three at once to one NPU: the switch's way down takes them in turn.
  const incast: [number, number][] = [
    [1, 0],
    [2, 0],
    [3, 0],
  ];
  expect(arrivals(aware([dim('Switch', 4)], { cutThrough: false }), incast)).toEqual([
    400, 500, 600,
  ]);
  // Passed on as they come: one latency and no second serialization for the first.
  expect(arrivals(aware([dim('Switch', 4)]), incast)).toEqual([300, 400, 500]);
});

test('dimensions are crossed in ascending order', () => {
  // From (0,0) to (1,1): NPU 0 -> 1 in the ring, then up and down the switch of column 1.
  const dims = [dim('Ring', 2), dim('Switch', 2)];
  expect(arrivals(aware(dims, { cutThrough: false }), [[0, 3]])).toEqual([600]);
  expect(arrivals(aware([dim('Torus', 3), dim('Torus', 3)]), [[0, 8]])).toEqual([400]);
});

test('levels: the innermost domain that two NPUs share', () => {
  const level = (domain: number[], latencyNs: number) => ({ domain, bandwidthGBps, latencyNs });
  const levels = [level([0, 0, 1], 10), level([0, 0, 0], 500)];
  for (const congestion of ['unaware', 'aware'] as const) {
    expect(arrivals({ congestion, levels }, [[0, 1]])).toEqual([110]);
    expect(arrivals({ congestion, levels }, [[1, 2]])).toEqual([600]);
  }
  // Two messages into one NPU share its way in.
  expect(
    arrivals({ congestion: 'aware', levels }, [
      [0, 2],
      [1, 2],
    ]),
  ).toEqual([600, 700]);
});

test('links that differ from their dimension', () => {
  const links = [{ from: 1, to: 2, bandwidth: bandwidthGBps / 2, latency: 1000 }];
  expect(
    arrivals(aware([dim('Ring', 4)], { links }), [
      [0, 2],
      [2, 1],
    ]),
  ).toEqual([1400, 200]);
  expect(
    arrivals(unaware([dim('Ring', 4)], { links }), [
      [0, 2],
      [2, 1],
    ]),
  ).toEqual([1300, 200]);
  const slow = [{ npu: 3, bandwidth: bandwidthGBps / 4 }];
  const times = arrivals(aware([dim('Switch', 4)], { links: slow }), [
    [0, 1],
    [3, 0],
    [2, 3],
  ]);
  expect(times).toEqual([300, 600, 600]);
  const absent = [{ from: 0, to: 2, latency: 1 }];
  expect(() => createNetwork(aware([dim('Ring', 4)], { links: absent }), 4)).toThrow(UserError);
});

test('links count what they carry', () => {
  const core = new Core(4, createNetwork(aware([dim('Ring', 4)]), 4));
  core.send(0, 2, 0, sizeBytes, Kind.none, 0);
  while (core.queue.pop()) core.dispatch(core.queue.kind, core.queue.arg);
  expect(core.network.counters?.()).toEqual([
    { name: 'dim0: 0->1', bytes: 6400, busyNs: 100, messages: 1 },
    { name: 'dim0: 1->2', bytes: 6400, busyNs: 100, messages: 1 },
  ]);
});
