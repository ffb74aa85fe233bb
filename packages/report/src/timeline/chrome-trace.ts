/**
 * A run as a Chrome trace, which Perfetto and chrome://tracing open: a process per instance with a
 * track per NPU, a process of requests packed into rows, flows from a request to its first step,
 * counters. Times in us with ns as decimals. What is left out for size is declared in
 * `otherData`.
 */
import type { RequestSpan, RunRecords, StepSpan } from './run-records.js';

interface TimelineOptions {
  /** Part of the run, ns. */
  readonly fromNs: number;
  readonly toNs: number;
  /** Most events, names of tracks among them: steps, requests and samples are thinned evenly. */
  readonly maxEvents: number;
}

interface Timeline {
  readonly events: readonly string[];
  /** What a reader must know, e.g. sampling. */
  readonly notes: readonly string[];
}

const requestProcess = 1_000_000;
const counterProcess = 2_000_000;
/** Itself, queued, prefill, decode. */
const slicesPerRequest = 4;

export function buildTimeline(records: RunRecords, options: TimelineOptions): Timeline {
  const { maxEvents } = options;
  const part = partOf(records, options);
  const most = Math.max(part.steps.length, part.requests.length, ...part.counters.map(lengthOf));
  let stride = Math.max(1, Math.min(most, Math.ceil(slicesAndSamples(part) / maxEvents)));
  let events = draw(part, stride);
  // Arrows and the names of tracks come on top.
  while (events.length > maxEvents && stride < most) {
    stride = Math.min(most, Math.max(stride + 1, Math.ceil((stride * events.length) / maxEvents)));
    events = draw(part, stride);
  }
  if (stride === 1 && events.length <= maxEvents) return { events, notes: [] };
  const limit =
    events.length <= maxEvents
      ? `for at most ${maxEvents} events`
      : `${events.length} events: fewer than ${maxEvents} cannot hold one of each and the names of tracks`;
  return { events, notes: [`1 of ${stride} steps, requests and samples is drawn, ${limit}`] };
}

/** What is drawn unless it is thinned out. */
interface Part {
  readonly steps: readonly StepSpan[];
  readonly requests: readonly IndexedRequest[];
  readonly counters: readonly PartOfSeries[];
}

interface PartOfSeries {
  readonly label: string;
  readonly unit: string;
  readonly samples: readonly (readonly [startNs: number, value: number])[];
}

const lengthOf = (series: PartOfSeries): number => series.samples.length;

function slicesAndSamples({ steps, requests, counters }: Part): number {
  const slices = steps.reduce((sum, step) => sum + step.npus.length, 0);
  const samples = counters.reduce((sum, series) => sum + lengthOf(series), 0);
  return slices + slicesPerRequest * requests.length + samples;
}

function partOf(records: RunRecords, { fromNs, toNs }: TimelineOptions): Part {
  const inside = (startNs: number, finishNs: number): boolean =>
    finishNs >= fromNs && startNs <= toNs;
  return {
    steps: records.steps.filter((step) => inside(step.startNs, step.finishNs)),
    requests: records.requests.flatMap((request, index) =>
      request !== undefined && inside(request.arrivalNs, request.finishNs)
        ? [{ request, index }]
        : [],
    ),
    counters: records.counters.map(({ name, unit, intervalNs, values }) => ({
      label: `${name} (${unit})`,
      unit,
      samples: values.flatMap((value, i) => {
        const startNs = i * intervalNs;
        return inside(startNs, startNs + intervalNs) ? [[startNs, value] as const] : [];
      }),
    })),
  };
}

function draw({ steps, requests, counters }: Part, stride: number): string[] {
  const events: string[] = [];
  const add: Add = (event) => {
    events.push(JSON.stringify(event));
  };
  const thin = <T>(items: readonly T[]): T[] => items.filter((_, i) => i % stride === 0);
  const drawnSteps = thin(steps);
  addSteps(drawnSteps, homeInstances(steps), add);
  addRequests(thin(requests), firstSteps(steps, new Set(drawnSteps)), add);
  if (counters.length > 0) {
    const args = { name: 'counters' };
    add({ ph: 'M', name: 'process_name', pid: counterProcess, tid: 0, args });
  }
  for (const { label, unit, samples } of counters) {
    for (const [startNs, value] of thin(samples)) {
      const args = { [unit]: value };
      add({ ph: 'C', name: label, pid: counterProcess, tid: 0, ts: us(startNs), args });
    }
  }
  return events;
}

type Add = (event: Record<string, unknown>) => void;

function us(ns: number): number {
  return ns / 1000;
}

/** Track of an NPU's steps; KV moves of the same NPU have their own. */
function stepTrack(npu: number, lane: number): number {
  return npu * 10 + lane;
}

function addSteps(steps: readonly StepSpan[], homes: ReadonlyMap<number, number>, add: Add): void {
  const named = new Set<string>();
  const name = (pid: number, tid: number, lane: number, npu: number): void => {
    const key = `${pid}/${tid}`;
    if (named.has(key)) return;
    if (!named.has(`${pid}`)) {
      named.add(`${pid}`);
      const args = { name: `instance ${pid - 1}` };
      add({ ph: 'M', name: 'process_name', pid, tid: 0, args });
      add({ ph: 'M', name: 'process_sort_index', pid, tid: 0, args: { sort_index: pid } });
    }
    named.add(key);
    const text = lane === 0 ? `NPU ${npu}` : `NPU ${npu} KV moves (lane ${lane})`;
    add({ ph: 'M', name: 'thread_name', pid, tid, args: { name: text } });
  };
  for (const step of steps) {
    for (const npu of step.npus) {
      const pid = (homes.get(npu.npu) ?? step.instance) + 1;
      const tid = stepTrack(npu.npu, step.lane);
      name(pid, tid, step.lane, npu.npu);
      add({
        ph: 'X',
        name: stepName(step),
        cat: step.lane === 0 ? 'step' : 'kv',
        pid,
        tid,
        ts: us(npu.startNs),
        dur: us(npu.finishNs - npu.startNs),
        args: {
          iteration: step.iteration,
          prefillTokens: step.prefillTokens,
          prefillRequests: step.prefillRequests,
          decodeRequests: step.decodeRequests,
          contextTokens: step.contextTokens,
          computeUs: us(npu.computeNs),
          exposedCommUs: us(npu.exposedCommNs),
          exposedMemoryUs: us(npu.exposedMemoryNs),
          commBytes: step.commBytes,
          memoryBytes: step.memoryBytes,
        },
      });
    }
  }
}

/** Whose an NPU is: KV that goes to another instance keeps NPUs of both busy. */
function homeInstances(steps: readonly StepSpan[]): ReadonlyMap<number, number> {
  const homes = new Map<number, number>();
  for (const { lane, npus, instance } of steps) {
    if (lane === 0) for (const { npu } of npus) homes.set(npu, instance);
  }
  return homes;
}

function stepName(step: StepSpan): string {
  if (step.lane !== 0) return `KV move ${step.memoryBytes + step.commBytes} B`;
  const parts: string[] = [];
  if (step.prefillTokens > 0) parts.push(`prefill ${step.prefillTokens}`);
  if (step.decodeRequests > 0) parts.push(`decode ${step.decodeRequests}`);
  return parts.length === 0 ? 'idle rank' : parts.join(' + ');
}

/** First engine step of each request, where it is drawn. */
function firstSteps(
  steps: readonly StepSpan[],
  drawn: ReadonlySet<StepSpan>,
): ReadonlyMap<number, StepSpan> {
  const first = new Map<number, StepSpan>();
  for (const step of steps) {
    if (step.lane !== 0 || step.npus.length === 0) continue;
    for (const index of step.requests) if (!first.has(index)) first.set(index, step);
  }
  for (const [index, step] of first) if (!drawn.has(step)) first.delete(index);
  return first;
}

interface IndexedRequest {
  readonly request: RequestSpan;
  readonly index: number;
}

function addRequests(
  requests: readonly IndexedRequest[],
  first: ReadonlyMap<number, StepSpan>,
  add: Add,
): void {
  if (requests.length === 0) return;
  const pid = requestProcess;
  add({ ph: 'M', name: 'process_name', pid, tid: 0, args: { name: 'requests' } });
  add({ ph: 'M', name: 'process_sort_index', pid, tid: 0, args: { sort_index: 0 } });
  const rows = new RowPacker();
  const ordered = [...requests].sort((a, b) => a.request.arrivalNs - b.request.arrivalNs);
  for (const { request, index } of ordered) {
    const tid = rows.place(request.arrivalNs, request.finishNs) + 1;
    const slice = (name: string, startNs: number, finishNs: number, args: object): void =>
      add({
        ph: 'X',
        name,
        cat: 'request',
        pid,
        tid,
        ts: us(startNs),
        dur: us(finishNs - startNs),
        args,
      });
    slice(`request ${request.id}`, request.arrivalNs, request.finishNs, {
      instance: request.instance,
      promptTokens: request.promptTokens,
      outputTokens: request.outputTokens,
      prefixHitTokens: request.prefixHitTokens,
      preemptions: request.preemptions,
    });
    slice('queued', request.arrivalNs, request.scheduledNs, {});
    slice('prefill', request.scheduledNs, request.firstTokenNs, {});
    slice('decode', request.firstTokenNs, request.finishNs, {});
    addFlow(request, index, tid, first.get(index), add);
  }
}

/** An arrow from the arrival to the first step. */
function addFlow(
  request: RequestSpan,
  index: number,
  tid: number,
  first: StepSpan | undefined,
  add: Add,
): void {
  if (first === undefined) return;
  const npu = first.npus[0];
  const flow = { name: 'served', cat: 'flow', id: index };
  add({ ...flow, ph: 's', pid: requestProcess, tid, ts: us(request.arrivalNs) });
  add({
    ...flow,
    ph: 'f',
    bp: 'e',
    pid: first.instance + 1,
    tid: stepTrack(npu.npu, 0),
    ts: us(npu.startNs),
  });
}

/** Puts spans into the first row that is free. */
class RowPacker {
  private readonly freeAt: number[] = [];

  place(startNs: number, finishNs: number): number {
    const found = this.freeAt.findIndex((free) => free <= startNs);
    const row = found < 0 ? this.freeAt.length : found;
    this.freeAt[row] = finishNs;
    return row;
  }
}

/** The whole document. */
export function timelineJson(timeline: Timeline, source: string): string {
  const other = { source, notes: timeline.notes, times: 'simulated, from the start of the run' };
  return (
    `{"displayTimeUnit":"ms","otherData":${JSON.stringify(other)},"traceEvents":[\n` +
    `${timeline.events.join(',\n')}\n]}\n`
  );
}
