/** When requests come: gaps of an arrival process, as integer ns from the start. */
import { nsPerS, Random } from '@astrolabe/base';

export interface ArrivalOptions {
  readonly process: ArrivalProcess;
  /** Requests per second. For pulses: inside a pulse; 0 is all at once. */
  readonly ratePerS: number;
  /** Coefficient of variation of gamma gaps; 1 is Poisson. */
  readonly gapCv: number;
  /** Requests per pulse. */
  readonly pulseRequests: number;
  /** From the last request of a pulse to the start of the next, s. */
  readonly pulseGapS: number;
  readonly seed: number;
}

/** Seconds from one arrival to the next; `index` counts arrivals from 0. */
type Gap = (options: ArrivalOptions, random: Random, index: number) => number;

const exponentialGap: Gap = (options, random) => random.exponential(1 / options.ratePerS);

export const arrivalProcesses = {
  /** Independent arrivals: exponential gaps. */
  poisson: exponentialGap,
  /** Bursty: gamma gaps with shape 1/cv^2 and the same mean. */
  gamma: (options, random) => {
    const variance = options.gapCv ** 2;
    return random.gamma(1 / variance, variance / options.ratePerS);
  },
  /** One request every 1/rate seconds. */
  fixed: (options) => 1 / options.ratePerS,
  /** Pulses of requests with silence between them. */
  pulses: (options, random, index) => {
    if (index > 0 && index % options.pulseRequests === 0) return options.pulseGapS;
    return options.ratePerS > 0 ? exponentialGap(options, random, index) : 0;
  },
} as const satisfies Record<string, Gap>;

export type ArrivalProcess = keyof typeof arrivalProcesses;

/** Endless arrival times in ns, never going back. */
export function* arrivals(options: ArrivalOptions): Generator<number> {
  const gap: Gap = arrivalProcesses[options.process];
  const random = new Random(options.seed, 'arrivals');
  let timeS = 0;
  for (let index = 0; ; index++) {
    timeS += gap(options, random, index);
    yield Math.round(timeS * nsPerS);
  }
}
