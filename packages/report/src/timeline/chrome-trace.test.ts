// Goal: a two-request run becomes slices, flows and counters at the right places, and a size limit
// is kept and declared. Times by hand.
import { describe, expect, it } from 'vitest';
import { buildTimeline, timelineJson } from './chrome-trace.js';
import type { RunRecords, StepSpan } from './run-records.js';
import { TrafficCounters } from './traffic-counters.js';

const step = (iteration: number, startNs: number, finishNs: number, more = {}): StepSpan => ({
  instance: 0,
  iteration,
  lane: 0,
  startNs,
  finishNs,
  npus: [{ npu: 3, startNs, finishNs, computeNs: 5, exposedCommNs: 0, exposedMemoryNs: 0 }],
  commBytes: 0,
  memoryBytes: 0,
  prefillTokens: 8,
  prefillRequests: 1,
  decodeRequests: 0,
  contextTokens: 0,
  requests: [0],
  ...more,
});

const request = (id: string, arrivalNs: number, finishNs: number) => ({
  id,
  instance: 0,
  promptTokens: 8,
  outputTokens: 2,
  arrivalNs,
  scheduledNs: arrivalNs + 10,
  firstTokenNs: arrivalNs + 1000,
  finishNs,
  preemptions: 0,
  prefixHitTokens: 0,
});

const records: RunRecords = {
  source: 'run',
  requests: [request('a', 0, 3000), request('b', 500, 4000), undefined, request('c', 3000, 9000)],
  steps: [
    step(0, 10, 1000),
    step(1, 1000, 3000, { prefillTokens: 0, decodeRequests: 2, requests: [0, 1] }),
    step(2, 3000, 9000, { requests: [3], commBytes: 500 }),
  ],
  counters: [{ name: 'KV in use', unit: '%', intervalNs: 2000, values: [1, 2, 3] }],
};

const all = { fromNs: 0, toNs: Number.POSITIVE_INFINITY, maxEvents: 1000 };

interface Event {
  ph: string;
  name: string;
  pid: number;
  tid: number;
  ts: number;
  dur: number;
  id: number;
  args: Record<string, number>;
}

function events(options = all): Event[] {
  const timeline = buildTimeline(records, options);
  return JSON.parse(timelineJson(timeline, 'run')).traceEvents;
}

describe('buildTimeline', () => {
  it('draws steps on the track of their NPU, in us', () => {
    const steps = events().filter((event) => event.ph === 'X' && event.pid === 1);
    expect(steps.map((s) => [s.name, s.tid, s.ts, s.dur])).toEqual([
      ['prefill 8', 30, 0.01, 0.99],
      ['decode 2', 30, 1, 2],
      ['prefill 8', 30, 3, 6],
    ]);
  });

  it('draws KV that goes to another instance at both ends', () => {
    const of = (npu: number) => ({ npu, startNs: 1000, finishNs: 2000, computeNs: 0 });
    const npus = [3, 7].map((npu) => ({ ...of(npu), exposedCommNs: 9, exposedMemoryNs: 0 }));
    const steps = [
      step(0, 10, 1000),
      step(0, 1000, 2000, { instance: 1, lane: 1, npus, commBytes: 640, requests: [0] }),
      step(0, 2000, 3000, { instance: 1, npus: [{ ...npus[1], startNs: 2000, finishNs: 3000 }] }),
    ];
    const drawn: Event[] = JSON.parse(
      timelineJson(buildTimeline({ ...records, steps }, all), 'run'),
    ).traceEvents;
    const moves = drawn.filter(({ name }) => name === 'KV move 640 B');
    expect(moves.map(({ pid, tid }) => [pid, tid])).toEqual([
      [1, 31],
      [2, 71],
    ]);
  });

  it('packs requests into rows that never overlap', () => {
    const spans = events().filter((event) => event.ph === 'X' && event.name.startsWith('request'));
    expect(spans.map((s) => [s.name, s.tid, s.ts, s.dur])).toEqual([
      ['request a', 1, 0, 3],
      ['request b', 2, 0.5, 3.5],
      ['request c', 1, 3, 6],
    ]);
  });

  it('ties each request to its first step', () => {
    const flows = events().filter((event) => event.ph === 's' || event.ph === 'f');
    expect(flows.map((f) => `${f.ph} ${f.id} ${f.ts}`)).toEqual([
      's 0 0',
      'f 0 0.01',
      's 1 0.5',
      'f 1 1',
      's 3 3',
      'f 3 3',
    ]);
  });

  it('draws counters and a part of the run', () => {
    const counters = events().filter((event) => event.ph === 'C');
    expect(counters.map((c) => [c.name, c.ts, c.args['%']])).toEqual([
      ['KV in use (%)', 0, 1],
      ['KV in use (%)', 2, 2],
      ['KV in use (%)', 4, 3],
    ]);
    const part = events({ ...all, fromNs: 3500, toNs: 4000 });
    expect(part.filter((event) => event.pid === 1 && event.ph === 'X').length).toBe(1);
  });

  it('thins out to a limit and says so', () => {
    const whole = buildTimeline(records, all).events.length;
    let last = 0;
    for (let maxEvents = 1; maxEvents <= whole; maxEvents++) {
      const { events, notes } = buildTimeline(records, { ...all, maxEvents });
      const least = 14;
      expect(events.length).toBeLessThanOrEqual(Math.max(least, maxEvents));
      expect(events.length).toBeGreaterThanOrEqual(last);
      last = events.length;
      const stride = maxEvents < least ? 3 : Number(/1 of (\d+)/.exec(notes[0] ?? '1 of 1')?.[1]);
      const limit =
        maxEvents < least
          ? `14 events: fewer than ${maxEvents} cannot hold one of each and the names of tracks`
          : `for at most ${maxEvents} events`;
      const note = `1 of ${stride} steps, requests and samples is drawn, ${limit}`;
      expect(notes).toEqual(maxEvents === whole ? [] : [note]);
    }
    expect(buildTimeline(records, all).notes).toEqual([]);
  });
});

describe('TrafficCounters', () => {
  it('gives bytes per ns of the interval in which a step ends', () => {
    const traffic = new TrafficCounters(1000);
    for (const one of records.steps) traffic.add(one);
    expect(traffic.series()).toEqual([
      {
        name: 'links of instance 0',
        unit: 'GB/s',
        intervalNs: 1000,
        values: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5],
      },
    ]);
  });

  it('goes by instance, links before memory; who moves nothing has no series', () => {
    const traffic = new TrafficCounters(10);
    const moved = { finishNs: 5, commBytes: 0, memoryBytes: 0 };
    traffic.add({ ...moved, instance: 2, memoryBytes: 20 });
    traffic.add({ ...moved, instance: 2, memoryBytes: 10, finishNs: 19 });
    traffic.add({ ...moved, instance: 1 });
    traffic.add({ ...moved, instance: 0, commBytes: 30, memoryBytes: 10 });
    const series = traffic.series().map(({ name, values }) => [name, values]);
    expect(series).toEqual([
      ['links of instance 0', [3]],
      ['memory tiers of instance 0', [1]],
      ['memory tiers of instance 2', [2, 1]],
    ]);
  });
});
