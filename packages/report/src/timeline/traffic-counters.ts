/** Bytes that steps moved over links and to memory tiers, as rates per interval and instance. */
import type { CounterSeries, StepSpan } from './run-records.js';

/** Bytes count in the interval in which their step ends. Instances that move nothing have no series. */
export function trafficCounters(steps: readonly StepSpan[], intervalNs: number): CounterSeries[] {
  const series: CounterSeries[] = [];
  const instances = [...new Set(steps.map((step) => step.instance))].sort((a, b) => a - b);
  const add = (instance: number, name: string, bytes: (step: StepSpan) => number): void => {
    const values: number[] = [];
    for (const step of steps) {
      if (step.instance !== instance || bytes(step) === 0) continue;
      const index = Math.floor(step.finishNs / intervalNs);
      while (values.length <= index) values.push(0);
      // Bytes per ns are GB/s.
      values[index] += bytes(step) / intervalNs;
    }
    if (values.length > 0) {
      series.push({ name: `${name} of instance ${instance}`, unit: 'GB/s', intervalNs, values });
    }
  };
  for (const instance of instances) {
    add(instance, 'links', (step) => step.commBytes);
    add(instance, 'memory tiers', (step) => step.memoryBytes);
  }
  return series;
}
