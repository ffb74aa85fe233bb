/** A power reading as rows of `power.csv`, as a section of the summary, and as lines for people. */
import { nsPerS } from '@astrolabe/base';
import { z } from 'zod';
import type { RequestResult } from '../metrics.js';
import type { Row } from '../results/table.js';
import { type EnergySeries, joulesSchema, powerComponents, sumJoules } from './components.js';
import type { PowerReading } from './power-meter.js';

export const powerColumns = [
  'startNs',
  'scope',
  'powerW',
  'meterW',
  ...powerComponents.map((name) => `${name}W` as const),
] as const;

const deviceTimesSchema = z.strictObject({
  npu: z.number(),
  instance: z.number(),
  idleS: z.number(),
  standbyS: z.number(),
  activeS: z.number(),
});

const joules = z.number().nullable();

export const powerSummarySchema = z.strictObject({
  energyJ: z.number(),
  meanPowerW: z.number(),
  peakPowerW: z.number(),
  componentsJ: joulesSchema,
  nodesJ: z.array(joules).readonly(),
  instancesJ: z.array(joules).readonly(),
  energyPerOutputTokenJ: joules,
  energyPerTokenJ: joules,
  energyPerRequestJ: joules,
  devices: z.array(deviceTimesSchema).readonly(),
  byOperator: z
    .array(z.string())
    .readonly()
    .optional()
    .describe('hardware that draws what its operators were measured to draw; absent: none'),
});
type PowerSummary = Readonly<z.infer<typeof powerSummarySchema>>;

/** Mean power per interval: the system, then each metered node and instance. */
export function powerRows(reading: PowerReading): Row[] {
  const scopes: [string, EnergySeries][] = [['system', reading.system]];
  reading.nodes.forEach((series, index) => {
    if (series !== undefined) scopes.push([`node${index}`, series]);
  });
  reading.instances.forEach((series, index) => {
    if (series !== undefined) scopes.push([`instance${index}`, series]);
  });
  const rows: Row[] = [];
  const readings = new Map(
    scopes.map(([scope, series]) => [scope, meterReadings(reading, series)]),
  );
  for (let i = 0; i < reading.system.numIntervals; i++) {
    const startNs = i * reading.intervalNs;
    const lengthNs = Math.min(reading.intervalNs, reading.endNs - startNs);
    if (lengthNs <= 0) break;
    for (const [scope, series] of scopes) {
      const joules = series.interval(i);
      const watts = (amount: number): number => (amount * nsPerS) / lengthNs;
      rows.push({
        startNs,
        scope,
        powerW: watts(sumJoules(joules)),
        meterW: readings.get(scope)?.[i] ?? 0,
        ...Object.fromEntries(powerComponents.map((name) => [`${name}W`, watts(joules[name])])),
      });
    }
  }
  return rows;
}

/**
 * What a meter at the wall shows, W, mean of each interval: a first-order response to the power
 * drawn, which is taken as constant over an interval. With no lag it is that power.
 */
export function meterReadings(reading: PowerReading, series: EnergySeries): number[] {
  const { intervalNs, endNs, lagNs } = reading;
  const shown: number[] = [];
  let meterW = 0;
  for (let i = 0; i < series.numIntervals && i * intervalNs < endNs; i++) {
    const lengthNs = Math.min(intervalNs, endNs - i * intervalNs);
    const powerW = (sumJoules(series.interval(i)) * nsPerS) / lengthNs;
    if (i === 0) meterW = powerW;
    const left = lagNs === 0 ? 0 : Math.exp(-lengthNs / lagNs);
    shown.push(powerW + (meterW - powerW) * (lagNs / lengthNs) * (1 - left));
    meterW = powerW + (meterW - powerW) * left;
  }
  return shown;
}

export function summarisePower(
  reading: PowerReading,
  results: readonly RequestResult[],
): PowerSummary {
  const componentsJ = reading.system.total();
  const energyJ = sumJoules(componentsJ);
  const finished = results.filter((row) => row.status === 'finished');
  const outputTokens = finished.reduce((sum, row) => sum + row.outputTokens, 0);
  const tokens = outputTokens + finished.reduce((sum, row) => sum + row.promptTokens, 0);
  const per = (count: number): number | null => (count > 0 ? energyJ / count : null);
  const rows = powerRows(reading).filter((row) => row.scope === 'system');
  const total = (series: EnergySeries | undefined): number | null =>
    series === undefined ? null : sumJoules(series.total());
  return {
    energyJ,
    meanPowerW: reading.endNs > 0 ? (energyJ * nsPerS) / reading.endNs : 0,
    peakPowerW: rows.reduce((most, row) => Math.max(most, Number(row.powerW)), 0),
    componentsJ,
    nodesJ: reading.nodes.map(total),
    instancesJ: reading.instances.map(total),
    energyPerOutputTokenJ: per(outputTokens),
    energyPerTokenJ: per(tokens),
    energyPerRequestJ: per(finished.length),
    devices: reading.devices.map((device) => ({
      npu: device.npu,
      instance: device.instance,
      idleS: device.idleNs / nsPerS,
      standbyS: device.standbyNs / nsPerS,
      activeS: device.activeNs / nsPerS,
    })),
    ...(reading.byOperator.length > 0 && { byOperator: reading.byOperator }),
  };
}

/**
 * Energy of each request: its share of the steps it took part in, and of everything that is drawn
 * whatever runs, by its tokens. Shares add up to the whole run's energy.
 */
export function requestEnergyRows(reading: PowerReading, results: readonly RequestResult[]): Row[] {
  const totalJ = sumJoules(reading.system.total());
  const stepsJ = reading.requestJ.reduce((sum, amount) => sum + amount, 0);
  const tokensOf = (row: RequestResult): number => row.promptTokens + row.outputTokens;
  const tokens = results.reduce((sum, row) => sum + tokensOf(row), 0);
  return results.map((row, index) => {
    const stepJ = reading.requestJ[index];
    const shareJ = tokens > 0 ? ((totalJ - stepsJ) * tokensOf(row)) / tokens : 0;
    return { request: row.request, stepJ, shareJ, energyJ: stepJ + shareJ };
  });
}

export const requestEnergyColumns = ['request', 'stepJ', 'shareJ', 'energyJ'] as const;

export function formatPower(power: PowerSummary): string[] {
  const kilo = (joules: number): string => `${(joules / 1e3).toFixed(2)} kJ`;
  const parts = powerComponents
    .filter((name) => power.componentsJ[name] !== 0)
    .map((name) => `${name} ${((100 * power.componentsJ[name]) / power.energyJ).toFixed(1)} %`);
  const perToken = power.energyPerOutputTokenJ;
  return [
    `energy        ${kilo(power.energyJ)}, mean ${power.meanPowerW.toFixed(1)} W, ` +
      `peak ${power.peakPowerW.toFixed(1)} W` +
      (perToken === null ? '' : `, ${perToken.toFixed(3)} J per output token`),
    `              ${parts.join(', ')}`,
    ...(power.byOperator === undefined
      ? []
      : [`              power of operators as measured: ${power.byOperator.join(', ')}`]),
  ];
}
