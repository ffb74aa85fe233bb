/**
 * Fits the two residuals that operator times cannot know, from one real run and simulations of it:
 * the serial time of every step (from TPOT) and the front-end delay (from the TTFT of requests that
 * did not queue). Requests are resampled (bootstrap) for the intervals. Times ns.
 */
import { assert, quantileSorted, Random, UserError } from '@astrolabe/base';
import { isUnqueued, latencyMetrics } from '../latency-metrics.js';
import { type RequestRow, requestKey } from '../run-data.js';

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
  /**
   * By which measured TTFTs of unqueued requests grow faster with the prompt, ns per token; undefined
   * without two unqueued prompts of unlike length.
   */
  readonly ttftSlopeNs: number | undefined;
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
  const stepOverheadNs = solveStepOverhead(grid, samples, all);
  const frontEndDelayNs = frontEndDelay(grid, samples, all, stepOverheadNs);
  for (let i = 0; i < resamples; i++) {
    const chosen = all.map(() => random.below(samples.length));
    if (!chosen.some(hasTpot)) continue;
    const value = solveStepOverhead(grid, samples, chosen);
    stepOverheads.push(value);
    delays.push(frontEndDelay(grid, samples, chosen, value));
  }
  return {
    stepOverhead: { valueNs: stepOverheadNs, intervalNs: central90(stepOverheads) },
    frontEndDelay: { valueNs: frontEndDelayNs, intervalNs: central90(delays) },
    tpotErrorPct: tpotError(grid, samples, stepOverheadNs),
    ttftSlopeNs: ttftSlope(samples, nearestPoint(grid, stepOverheadNs)),
    requests: samples.length,
    unqueuedRequests: samples.filter((sample) => sample.unqueued).length,
  };
}

/** One request: measured, and simulated at every grid point. */
interface Sample {
  /** In the simulation, where whoever measured the run does not see the queue. */
  readonly unqueued: boolean;
  readonly promptTokens: number;
  readonly tpotNs: number | undefined;
  readonly ttftNs: number;
  readonly simulatedTpotNs: readonly number[];
  readonly simulatedTtftNs: readonly number[];
}

function matchSamples(grid: readonly GridPoint[], real: readonly RequestRow[]): Sample[] {
  const byKey = grid.map((point) => new Map(point.rows.map((row) => [requestKey(row.id), row])));
  return real.flatMap((row) => {
    const simulated = byKey.map((rows) => rows.get(requestKey(row.id)));
    if (simulated.some((found) => found === undefined)) return [];
    const rows = simulated as RequestRow[];
    return [
      {
        unqueued: isUnqueued(row.scheduledNs === undefined ? rows[0] : row),
        promptTokens: row.promptTokens,
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

function tpotError(
  grid: readonly GridPoint[],
  samples: readonly Sample[],
  stepOverheadNs: number,
): number {
  const values = grid.map((point) => point.stepOverheadNs);
  const above = Math.max(
    1,
    values.findIndex((value) => value >= stepOverheadNs),
  );
  const weight = (stepOverheadNs - values[above - 1]) / (values[above] - values[above - 1]);
  const errors = samples.flatMap(({ tpotNs, simulatedTpotNs }) => {
    if (tpotNs === undefined) return [];
    const below = simulatedTpotNs[above - 1];
    const simulated = below + weight * (simulatedTpotNs[above] - below);
    return [Math.abs(simulated / tpotNs - 1) * 100];
  });
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

/** Least squares of the TTFT gap over prompt tokens. */
function ttftSlope(samples: readonly Sample[], g: number): number | undefined {
  const chosen = [...samples.keys()].filter((index) => samples[index].unqueued);
  const meanTokens = mean(chosen, (index) => samples[index].promptTokens);
  let product = 0;
  let square = 0;
  for (const index of chosen) {
    const { promptTokens, ttftNs, simulatedTtftNs } = samples[index];
    const tokens = promptTokens - meanTokens;
    product += tokens * (ttftNs - simulatedTtftNs[g]);
    square += tokens * tokens;
  }
  return square > 0 ? product / square : undefined;
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
