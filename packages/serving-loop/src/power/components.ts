/**
 * What draws power, by name, and energy as it adds up: joules per component and interval, spread
 * evenly over the time they were drawn in. Sums over components and over intervals are the total.
 */
import { nsPerS } from '@astrolabe/base';
import { z } from 'zod';

export const powerComponents = [
  'base',
  'accelerator',
  'acceleratorMemory',
  'cpu',
  'hostMemory',
  'pim',
  'link',
  'nic',
  'storage',
] as const;
export type PowerComponent = (typeof powerComponents)[number];

export const joulesSchema = z.record(z.enum(powerComponents), z.number());
export type Joules = Readonly<z.infer<typeof joulesSchema>>;

const width = powerComponents.length;
const position = Object.fromEntries(powerComponents.map((name, index) => [name, index])) as Record<
  PowerComponent,
  number
>;

/** Energy of one scope (an instance, a node) over time. */
export class EnergySeries {
  private readonly intervalNs: number;
  private joules = new Float64Array(64 * width);
  private used = 0;

  constructor(intervalNs: number) {
    this.intervalNs = intervalNs;
  }

  get numIntervals(): number {
    return this.used;
  }

  /** Spreads energy evenly over [startNs, endNs); an empty span puts it at its instant. */
  add(component: PowerComponent, startNs: number, endNs: number, amountJ: number): void {
    if (amountJ === 0) return;
    const first = Math.floor(startNs / this.intervalNs);
    const last = Math.max(first, Math.ceil(endNs / this.intervalNs) - 1);
    this.grow(last + 1);
    const at = position[component];
    if (first === last) {
      this.joules[first * width + at] += amountJ;
      return;
    }
    const perNs = amountJ / (endNs - startNs);
    for (let i = first; i <= last; i++) {
      const from = Math.max(startNs, i * this.intervalNs);
      const to = Math.min(endNs, (i + 1) * this.intervalNs);
      this.joules[i * width + at] += (to - from) * perNs;
    }
  }

  /** Constant power over a span. @param powerW W */
  draw(component: PowerComponent, startNs: number, endNs: number, powerW: number): void {
    if (endNs > startNs) this.add(component, startNs, endNs, (powerW * (endNs - startNs)) / nsPerS);
  }

  /** Adds all of another series of the same interval length. */
  merge(other: EnergySeries): void {
    this.grow(other.used);
    for (let i = 0; i < other.used * width; i++) this.joules[i] += other.joules[i];
  }

  /** Energy of one interval, or zeros beyond the last. */
  interval(index: number): Joules {
    return this.read((component) =>
      index < this.used ? this.joules[index * width + component] : 0,
    );
  }

  total(): Joules {
    return this.read((component) => {
      let sum = 0;
      for (let i = 0; i < this.used; i++) sum += this.joules[i * width + component];
      return sum;
    });
  }

  private read(amount: (component: number) => number): Joules {
    return Object.fromEntries(
      powerComponents.map((name, index) => [name, amount(index)]),
    ) as Record<PowerComponent, number>;
  }

  private grow(intervals: number): void {
    if (intervals * width > this.joules.length) {
      const grown = new Float64Array(Math.max(intervals * width, this.joules.length * 2));
      grown.set(this.joules);
      this.joules = grown;
    }
    this.used = Math.max(this.used, intervals);
  }
}

export function sumJoules(joules: Joules): number {
  return powerComponents.reduce((sum, name) => sum + joules[name], 0);
}
