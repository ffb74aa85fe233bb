/**
 * ServeGen client models: per client (a "chunk") windows of arrivals (rate, burstiness, pattern) and
 * windows of length histograms. Arrival gaps follow rate and cv of the window (gamma, Weibull, or
 * exponential without a pattern); prompt and output lengths are drawn independently.
 */
import { nsPerS, Random, UserError } from '@astrolabe/base';
import type { Request } from '../request.js';
import { mostTokens } from '../request-checker.js';

export interface ArrivalWindow {
  readonly startS: number;
  readonly ratePerS: number;
  readonly gapCv: number;
  readonly pattern: 'Gamma' | 'Weibull' | '';
}

/** Tokens and their probabilities. */
interface Histogram {
  readonly values: Float64Array;
  /** Ascending, the last is the total. */
  readonly cumulative: Float64Array;
}

export interface LengthWindow {
  readonly startS: number;
  readonly prompt: Histogram;
  readonly output: Histogram;
}

export interface ServeGenClient {
  readonly name: string;
  readonly arrivals: readonly ArrivalWindow[];
  readonly lengths: readonly LengthWindow[];
}

interface ServeGenOptions {
  /** Part of the model's time to use, s; arrivals count from its start. */
  readonly startS: number;
  readonly durationS: number;
  /** Multiplies every rate. */
  readonly rateFactor: number;
  readonly seed: number;
}

const number = '-?\\d+(?:\\.\\d*)?(?:[eE][-+]?\\d+)?';
const entry = new RegExp(`^\\s*(${number})\\s*:\\s*(${number})\\s*$`);

/**
 * Reads `{103: 0.011, 104: 0.02}`, a Python dict written as text; nothing is evaluated.
 * @throws UserError naming `at`
 */
export function parseHistogram(text: unknown, at: string): Histogram {
  const body = typeof text === 'string' ? /^\s*\{(.*)\}\s*$/s.exec(text)?.[1] : undefined;
  if (body === undefined || body.trim() === '') {
    throw new UserError('expected a histogram as "{tokens: share, ...}"', { at });
  }
  const pairs = body.replace(/,\s*$/, '').split(',');
  const values = new Float64Array(pairs.length);
  const cumulative = new Float64Array(pairs.length);
  let total = 0;
  for (const [i, pair] of pairs.entries()) {
    const match = entry.exec(pair);
    if (match === null || Number(match[2]) < 0) {
      throw new UserError(`not an entry of a histogram: ${JSON.stringify(pair)}`, { at });
    }
    values[i] = Number(match[1]);
    if (values[i] > mostTokens) {
      throw new UserError(`expected ${mostTokens} tokens at most, got ${values[i]}`, { at });
    }
    total += Number(match[2]);
    cumulative[i] = total;
  }
  if (total <= 0) throw new UserError('a histogram without weight', { at });
  return { values, cumulative };
}

function sample(histogram: Histogram, random: Random): number {
  const { values, cumulative } = histogram;
  const target = random.uniform() * cumulative[cumulative.length - 1];
  let low = 0;
  let high = cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cumulative[middle] > target) high = middle;
    else low = middle + 1;
  }
  return Math.max(1, Math.round(values[low]));
}

/** Held in memory, to be sorted. */
const mostRequests = 4e6;

/** All clients' requests in order of arrival. @throws UserError more than fit into memory */
export function serveGenRequests(
  clients: readonly ServeGenClient[],
  options: ServeGenOptions,
): Request[] {
  const all: Request[] = [];
  for (const client of clients) {
    for (const request of clientRequests(client, options)) {
      if (all.push(request) <= mostRequests) continue;
      throw new UserError(`${client.name}: more than ${mostRequests} requests`, {
        hint: 'a shorter --duration or a smaller --rate-factor',
      });
    }
  }
  all.sort((a, b) => a.arrivalNs - b.arrivalNs);
  for (const [index, request] of all.entries()) request.id = index;
  return all;
}

function* clientRequests(client: ServeGenClient, options: ServeGenOptions): Generator<Request> {
  const { startS, durationS, rateFactor, seed } = options;
  const arrivals = new Random(seed, `arrivals ${client.name}`);
  const lengths = new Random(seed, `lengths ${client.name}`);
  const endS = startS + durationS;
  for (const [index, window] of client.arrivals.entries()) {
    const next = client.arrivals[index + 1]?.startS ?? window.startS + windowLengthS(client);
    const from = Math.max(window.startS, startS);
    const to = Math.min(next, endS);
    if (window.ratePerS <= 0 || from >= to) continue;
    const gap = gapSampler(window, rateFactor);
    for (let timeS = from + gap(arrivals); timeS < to; timeS += gap(arrivals)) {
      const { prompt, output } = lengthsAt(client, timeS);
      yield {
        id: 0,
        arrivalNs: Math.round((timeS - startS) * nsPerS),
        promptTokens: sample(prompt, lengths),
        outputTokens: sample(output, lengths),
      };
    }
  }
}

function windowLengthS(client: ServeGenClient): number {
  const [first, second] = client.arrivals;
  return second === undefined ? 600 : second.startS - first.startS;
}

function lengthsAt(client: ServeGenClient, timeS: number): LengthWindow {
  let found = client.lengths[0];
  for (const window of client.lengths) if (window.startS <= timeS) found = window;
  return found;
}

function gapSampler(window: ArrivalWindow, rateFactor: number): (random: Random) => number {
  const mean = 1 / (window.ratePerS * rateFactor);
  const { gapCv, pattern } = window;
  if (pattern === 'Gamma' && gapCv > 0) {
    const variance = gapCv ** 2;
    return (random) => random.gamma(1 / variance, mean * variance);
  }
  if (pattern === 'Weibull' && gapCv > 0) {
    const shape = weibullShape(gapCv);
    const scale = mean / Math.exp(logGamma(1 + 1 / shape));
    return (random) => scale * (-Math.log(1 - random.uniform())) ** (1 / shape);
  }
  return (random) => random.exponential(mean);
}

/** Shape k with cv^2 = Gamma(1 + 2/k) / Gamma(1 + 1/k)^2 - 1, by bisection; cv falls with k. */
export function weibullShape(cv: number): number {
  let low = 0.1;
  let high = 50;
  for (let i = 0; i < 60; i++) {
    const k = Math.sqrt(low * high);
    const squared = Math.exp(logGamma(1 + 2 / k) - 2 * logGamma(1 + 1 / k)) - 1;
    if (squared > cv * cv) low = k;
    else high = k;
  }
  return Math.sqrt(low * high);
}

/** Logarithm of the gamma function for x >= 1 (Stirling's series after shifting x above 10). */
function logGamma(x: number): number {
  let shift = 0;
  let z = x;
  while (z < 10) shift += Math.log(z++);
  const series = 1 / (12 * z) - 1 / (360 * z ** 3) + 1 / (1260 * z ** 5);
  return (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series - shift;
}
