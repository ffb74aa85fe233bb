/**
 * Fits the two residuals that operator times cannot know, from one real run and simulations of it:
 * the serial time of every step (from TPOT) and the front-end delay (from the TTFT of requests that
 * did not queue). Requests are resampled (bootstrap) for the intervals. Times ns.
 */
import { assert, quantileSorted, Random, UserError } from '@astrolabe/base';
import { isUnqueued, latencyMetrics } from '../latency-metrics.js';
import { type RequestRow, requestKey } from '../run-data.js';
import { meanRunning, slopeOf } from './fit-per-sequence.js';

/** The same workload simulated with one value of the step overhead. */
export interface GridPoint {
  readonly stepOverheadNs: number;
  readonly rows: readonly RequestRow[];
}

export interface Estimate {
  readonly valueNs: number;
  /** Central 90 % of the bootstrap. */
  readonly intervalNs: readonly [low: number, high: number];
}

export interface Residuals {
  readonly stepOverhead: Estimate;
  readonly frontEndDelay: Estimate;
  /** Mean absolute error of single requests' TPOT that the fitted step overhead leaves, percent. */
  readonly tpotErrorPct: number;
  /** How much longer the mean simulated TPOT stays than the measured one, percent; 0 where they agree. */
  readonly tpotExcessPct: number;
  /**
   * By which measured TTFTs of unqueued requests grow faster with the prompt, ns per token; undefined
   * without two unqueued prompts of unlike length.
   */
  readonly ttftSlopeNs: number | undefined;
  /**
   * By which measured TPOTs grow faster with the number of requests that decode beside, ns per request;
   * undefined where that number never varied.
   */
  readonly perSequence: Estimate | undefined;
  readonly requests: number;
  readonly unqueuedRequests: number;
}

const resamples = 400;

/**
 * @param grid at least two points, ascending; rows of the same requests as `real`
 * @param seed of the resampling
 * @throws UserError no request has a TPOT
 */
export function fitResiduals(
  grid: readonly GridPoint[],
  real: readonly RequestRow[],
  seed: number,
): Residuals {
  assert(grid.length >= 2, 'a slope needs two simulations');
  const samples = matchSamples(grid, real);
  const all = samples.map((_, index) => index);
  const hasTpot = (index: number): boolean => samples[index].tpotNs !== undefined;
  if (!all.some(hasTpot)) {
    throw new UserError('no request got two tokens or more: nothing says how long a step takes');
  }
  const random = new Random(seed, 'calibrate');
  const stepOverheads: number[] = [];
  const delays: number[] = [];
  const slopes: number[] = [];
  const stepOverheadNs = solveStepOverhead(grid, samples, all);
  const frontEndDelayNs = frontEndDelay(grid, samples, all, stepOverheadNs);
  const nearest = nearestPoint(grid, stepOverheadNs);
  const tpotsNs = tpotsAt(grid, samples, stepOverheadNs);
  const perSequenceNs = tpotSlope(samples, all, tpotsNs);
  for (let i = 0; i < resamples; i++) {
    const chosen = all.map(() => random.below(samples.length));
    if (!chosen.some(hasTpot)) continue;
    const value = solveStepOverhead(grid, samples, chosen);
    stepOverheads.push(value);
    delays.push(frontEndDelay(grid, samples, chosen, value));
    slopes.push(tpotSlope(samples, chosen, tpotsNs) ?? 0);
  }
  return {
    stepOverhead: { valueNs: stepOverheadNs, intervalNs: central90(stepOverheads) },
    frontEndDelay: { valueNs: frontEndDelayNs, intervalNs: central90(delays) },
    tpotErrorPct: tpotError(samples, tpotsNs),
    tpotExcessPct: tpotExcess(samples, all.filter(hasTpot), tpotsNs),
    ttftSlopeNs: ttftSlope(samples, nearest),
    perSequence:
      perSequenceNs === undefined
        ? undefined
        : { valueNs: perSequenceNs, intervalNs: central90(slopes) },
    requests: samples.length,
    unqueuedRequests: samples.filter((sample) => sample.unqueued).length,
  };
}

/** One request: measured, and simulated at every grid point. */
interface Sample {
  /** In the simulation, where whoever measured the run does not see the queue. */
  readonly unqueued: boolean;
  readonly promptTokens: number;
  /** Requests that decoded beside it in the real run, on average. */
  readonly running: number;
  readonly tpotNs: number | undefined;
  readonly ttftNs: number;
  readonly simulatedTpotNs: readonly number[];
  readonly simulatedTtftNs: readonly number[];
}

function matchSamples(grid: readonly GridPoint[], real: readonly RequestRow[]): Sample[] {
  const byKey = grid.map((point) => new Map(point.rows.map((row) => [requestKey(row.id), row])));
  const running = meanRunning(real);
  return real.flatMap((row, i) => {
    const simulated = byKey.map((rows) => rows.get(requestKey(row.id)));
    if (simulated.some((found) => found === undefined)) return [];
    const rows = simulated as RequestRow[];
    return [
      {
        unqueued: isUnqueued(row.scheduledNs === undefined ? rows[0] : row),
        promptTokens: row.promptTokens,
        running: running[i],
        tpotNs: latencyMetrics.tpot(row),
        ttftNs: latencyMetrics.ttft(row),
        simulatedTpotNs: rows.map((one) => latencyMetrics.tpot(one) ?? 0),
        simulatedTtftNs: rows.map((one) => latencyMetrics.ttft(one)),
      },
    ];
  });
}

/** The overhead at which mean TPOT agrees; linear between grid points, at least the first of them. */
function solveStepOverhead(
  grid: readonly GridPoint[],
  samples: readonly Sample[],
  chosen: readonly number[],
): number {
  const withTpot = chosen.filter((index) => samples[index].tpotNs !== undefined);
  const target = mean(withTpot, (index) => samples[index].tpotNs as number);
  const simulated = grid.map((_, g) =>
    mean(withTpot, (index) => samples[index].simulatedTpotNs[g]),
  );
  if (target <= simulated[0]) return grid[0].stepOverheadNs;
  let g = 1;
  while (g < grid.length - 1 && simulated[g] < target) g++;
  const slope =
    (grid[g].stepOverheadNs - grid[g - 1].stepOverheadNs) / (simulated[g] - simulated[g - 1]);
  return grid[g - 1].stepOverheadNs + (target - simulated[g - 1]) * slope;
}

/** Simulated TPOTs by sample at a step overhead, linear between grid points. */
function tpotsAt(
  grid: readonly GridPoint[],
  samples: readonly Sample[],
  stepOverheadNs: number,
): number[] {
  const values = grid.map((point) => point.stepOverheadNs);
  const next = values.findIndex((value) => value >= stepOverheadNs);
  const above = next < 0 ? values.length - 1 : Math.max(1, next);
  const weight = (stepOverheadNs - values[above - 1]) / (values[above] - values[above - 1]);
  return samples.map(({ simulatedTpotNs }) => {
    const below = simulatedTpotNs[above - 1];
    return below + weight * (simulatedTpotNs[above] - below);
  });
}

function tpotExcess(
  samples: readonly Sample[],
  chosen: readonly number[],
  simulatedNs: readonly number[],
): number {
  const measured = mean(chosen, (index) => samples[index].tpotNs as number);
  const ratio = mean(chosen, (index) => simulatedNs[index]) / measured;
  return Math.max(0, 100 * (ratio - 1));
}

function tpotError(samples: readonly Sample[], simulatedNs: readonly number[]): number {
  const errors = samples.flatMap(({ tpotNs }, i) =>
    tpotNs === undefined ? [] : [Math.abs(simulatedNs[i] / tpotNs - 1) * 100],
  );
  return mean([...errors.keys()], (index) => errors[index]);
}

/** Median TTFT gap of requests that did not queue, at the nearest grid point; never negative. */
function frontEndDelay(
  grid: readonly GridPoint[],
  samples: readonly Sample[],
  chosen: readonly number[],
  stepOverheadNs: number,
): number {
  const nearest = nearestPoint(grid, stepOverheadNs);
  const gaps = chosen
    .filter((index) => samples[index].unqueued)
    .map((index) => samples[index].ttftNs - samples[index].simulatedTtftNs[nearest])
    .sort((a, b) => a - b);
  return gaps.length === 0 ? 0 : Math.max(0, quantileSorted(gaps, 0.5));
}

function nearestPoint(grid: readonly GridPoint[], stepOverheadNs: number): number {
  let nearest = 0;
  grid.forEach((point, g) => {
    const best = Math.abs(grid[nearest].stepOverheadNs - stepOverheadNs);
    if (Math.abs(point.stepOverheadNs - stepOverheadNs) < best) nearest = g;
  });
  return nearest;
}

/** The TTFT gap of unqueued requests over prompt tokens. */
function ttftSlope(samples: readonly Sample[], g: number): number | undefined {
  const chosen = samples.filter(({ unqueued }) => unqueued);
  return slopeOf(
    chosen.map(({ promptTokens }) => promptTokens),
    chosen.map(({ ttftNs, simulatedTtftNs }) => ttftNs - simulatedTtftNs[g]),
  );
}

/** The TPOT gap over the number of requests that decoded beside. */
function tpotSlope(
  samples: readonly Sample[],
  chosen: readonly number[],
  simulatedNs: readonly number[],
): number | undefined {
  const timed = chosen.filter((index) => samples[index].tpotNs !== undefined);
  return slopeOf(
    timed.map((index) => samples[index].running),
    timed.map((index) => (samples[index].tpotNs ?? 0) - simulatedNs[index]),
  );
}

function mean(indices: readonly number[], pick: (index: number) => number): number {
  let sum = 0;
  for (const index of indices) sum += pick(index);
  return sum / indices.length;
}

function central90(values: number[]): readonly [number, number] {
  values.sort((a, b) => a - b);
  return [quantileSorted(values, 0.05), quantileSorted(values, 0.95)];
}
