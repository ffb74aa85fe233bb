/** Bytes that steps moved over links and to memory tiers, as rates per interval and instance. */
import type { CounterSeries, StepSpan } from './run-records.js';

type Moved = Pick<StepSpan, 'instance' | 'finishNs' | 'commBytes' | 'memoryBytes'>;

/** GB/s of one instance by interval; empty as long as nothing moved. */
interface Rates {
  readonly links: number[];
  readonly tiers: number[];
}

/** Bytes count in the interval in which their step ends. Instances that move nothing have no series. */
export class TrafficCounters {
  private readonly intervalNs: number;
  private readonly byInstance = new Map<number, Rates>();

  constructor(intervalNs: number) {
    this.intervalNs = intervalNs;
  }

  add({ instance, finishNs, commBytes, memoryBytes }: Moved): void {
    let rates = this.byInstance.get(instance);
    if (rates === undefined) {
      rates = { links: [], tiers: [] };
      this.byInstance.set(instance, rates);
    }
    this.count(rates.links, finishNs, commBytes);
    this.count(rates.tiers, finishNs, memoryBytes);
  }

  series(): CounterSeries[] {
    return [...this.byInstance]
      .sort(([a], [b]) => a - b)
      .flatMap(([instance, { links, tiers }]) => [
        this.named(`links of instance ${instance}`, links),
        this.named(`memory tiers of instance ${instance}`, tiers),
      ])
      .filter(({ values }) => values.length > 0);
  }

  private count(values: number[], finishNs: number, bytes: number): void {
    if (bytes === 0) return;
    const index = Math.floor(finishNs / this.intervalNs);
    while (values.length <= index) values.push(0);
    // Bytes per ns are GB/s.
    values[index] += bytes / this.intervalNs;
  }

  private named(name: string, values: readonly number[]): CounterSeries {
    return { name, unit: 'GB/s', intervalNs: this.intervalNs, values };
  }
}
