/**
 * A run as a Chrome trace, which Perfetto and chrome://tracing open: a process per instance with a
 * track per NPU, a process of requests packed into rows, flows from a request to its first step,
 * counters. Times in us with ns as decimals. What is left out for size is declared in
 * `otherData`.
 */
import type { RequestSpan, RunRecords, StepSpan } from './run-records.js';

export interface TimelineOptions {
  /** Part of the run, ns. */
  readonly fromNs: number;
  readonly toNs: number;
  /** Most events; steps and requests are thinned evenly to stay below. */
  readonly maxEvents: number;
}

export interface Timeline {
  readonly events: readonly string[];
  /** What a reader must know, e.g. sampling. */
  readonly notes: readonly string[];
}

const requestProcess = 1_000_000;
const counterProcess = 2_000_000;
/** Slices and flows of one request. */
const eventsPerRequest = 7;

export function buildTimeline(records: RunRecords, options: TimelineOptions): Timeline {
  const inside = (startNs: number, finishNs: number): boolean =>
    finishNs >= options.fromNs && startNs <= options.toNs;
  const steps = records.steps.filter((step) => inside(step.startNs, step.finishNs));
  const requests = records.requests.flatMap((request, index) =>
    request !== undefined && inside(request.arrivalNs, request.finishNs)
      ? [{ request, index }]
      : [],
  );
  const stepEvents = steps.reduce((sum, step) => sum + step.npus.length, 0);
  const samples = records.counters.reduce((sum, series) => sum + series.values.length, 0);
  const wanted = stepEvents + requests.length * eventsPerRequest + samples;
  const stride = Math.max(1, Math.ceil(wanted / options.maxEvents));
  const notes =
    stride === 1
      ? []
      : [
          `1 of ${stride} steps, requests and samples is drawn, for at most ${options.maxEvents} events`,
        ];
  const thin = <T>(items: readonly T[]): T[] => items.filter((_, i) => i % stride === 0);
  const events: string[] = [];
  const add = (event: Record<string, unknown>): void => {
    events.push(JSON.stringify(event));
  };
  const drawnSteps = thin(steps);
  addSteps(drawnSteps, add);
  addRequests(thin(requests), firstSteps(steps, new Set(drawnSteps)), add);
  addCounters(records, options, stride, add);
  return { events, notes };
}

type Add = (event: Record<string, unknown>) => void;

function us(ns: number): number {
  return ns / 1000;
}

/** Track of an NPU's steps; KV moves of the same NPU have their own. */
function stepTrack(npu: number, lane: number): number {
  return npu * 10 + lane;
}

function addSteps(steps: readonly StepSpan[], add: Add): void {
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
    const pid = step.instance + 1;
    for (const npu of step.npus) {
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

function stepName(step: StepSpan): string {
  if (step.lane !== 0) return `KV move ${step.memoryBytes} B`;
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

function addCounters(
  records: RunRecords,
  options: TimelineOptions,
  stride: number,
  add: Add,
): void {
  if (records.counters.length === 0) return;
  const pid = counterProcess;
  add({ ph: 'M', name: 'process_name', pid, tid: 0, args: { name: 'counters' } });
  for (const { name, unit, intervalNs, values } of records.counters) {
    for (const [i, value] of values.entries()) {
      const startNs = i * intervalNs;
      if (i % stride !== 0) continue;
      if (startNs + intervalNs < options.fromNs || startNs > options.toNs) continue;
      add({
        ph: 'C',
        name: `${name} (${unit})`,
        pid,
        tid: 0,
        ts: us(startNs),
        args: { [unit]: value },
      });
    }
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
