/**
 * What a client and an operator see, per request. Definitions as vLLM's and as the accuracy rules:
 * TTFT = first token - arrival; TPOT = (last - first token) / (output - 1), none for one token;
 * latency = last token - arrival; queueing = first scheduled - arrival; ITL = gap between tokens.
 */
import { type Distribution, distribution, nsPerMs } from '@astrolabe/base';
import { z } from 'zod';
import { RequestStatus } from './request-state.js';
import type { RunResult } from './run-result.js';

const ns = z.number().int().nonnegative();

const requestResultSchema = z.strictObject({
  request: z.union([z.string(), z.number()]).describe('id in the workload'),
  instance: z.number().int().describe('instance that served it; -1 = none'),
  promptTokens: z.number().int(),
  outputTokens: z.number().int(),
  arrivalNs: ns,
  scheduledNs: ns.nullable().describe('first scheduled'),
  firstTokenNs: ns.nullable(),
  finishNs: ns.nullable(),
  queueingNs: ns.nullable(),
  ttftNs: ns.nullable(),
  tpotNs: z.number().nonnegative().nullable(),
  itlMeanNs: z.number().nonnegative().nullable(),
  latencyNs: ns.nullable(),
  preemptions: z.number().int().nonnegative(),
  prefixHitTokens: z.number().int().nonnegative(),
  status: z
    .enum(['finished', 'aborted', 'rejected', 'unfinished'])
    .describe('aborted: its client went away; rejected: no instance could ever serve it'),
  sloClass: z
    .string()
    .nullable()
    .optional()
    .describe('only when requests of the workload have classes; null: this one has none'),
});

export type RequestResult = z.infer<typeof requestResultSchema>;

/** One row per request, in workload order. */
export function requestResults(run: RunResult): RequestResult[] {
  const hasClasses = run.requests.some(({ sloClass }) => sloClass !== undefined);
  return run.states.map((state) => {
    const request = run.requests[state.index];
    const known = (value: number): number | null => (value < 0 ? null : value);
    const since = (value: number): number | null => (value < 0 ? null : value - state.arrivalNs);
    const gaps = state.outputTokens - 1;
    const aborted = state.abandonedNs >= 0;
    const rejected = state.status === RequestStatus.rejected;
    const done = state.status === RequestStatus.finished && !aborted;
    const tpotNs = done && gaps > 0 ? (state.lastTokenNs - state.firstTokenNs) / gaps : null;
    return {
      request: request.id,
      instance: state.instance,
      promptTokens: state.promptTokens,
      outputTokens: state.outputTokens,
      arrivalNs: state.arrivalNs,
      scheduledNs: known(state.scheduledNs),
      firstTokenNs: known(state.firstTokenNs),
      finishNs: known(state.finishNs),
      queueingNs: since(state.scheduledNs),
      ttftNs: since(state.firstTokenNs),
      tpotNs,
      // Every gap belongs to one token here, so a request's mean ITL is its TPOT.
      itlMeanNs: tpotNs,
      latencyNs: since(state.finishNs),
      preemptions: state.preemptions,
      prefixHitTokens: state.prefixHitTokens,
      status: done ? 'finished' : aborted ? 'aborted' : rejected ? 'rejected' : 'unfinished',
      ...(hasClasses ? { sloClass: request.sloClass ?? null } : {}),
    };
  });
}

/** Of a time that not every request has; null where none has it. */
export function distributionInMs(
  results: readonly RequestResult[],
  pick: (row: RequestResult) => number | null,
): Distribution | null {
  const values = results.flatMap((row) => pick(row) ?? []);
  return distribution(values.map((ns) => ns / nsPerMs)) ?? null;
}
