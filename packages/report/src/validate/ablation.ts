/**
 * What each term does: every case again with one term switched, and the change of its mean absolute
 * error over the metrics that have a limit, in points. Positive: the term makes the case better.
 */
import type { Calibration, EngineOverrides } from '@astrolabe/config';
import type { TermSwitches } from '@astrolabe/trace-generator';
import type { CaseResult } from './verdict.js';

export interface Ablation {
  readonly name: string;
  readonly terms?: TermSwitches;
  /** Off in these cases: they run again with it on. */
  readonly isOff?: boolean;
  readonly engine?: EngineOverrides;
  /** The fitted constants without the one in question. */
  readonly calibration?: (given: Calibration) => Calibration;
}

type Device = Calibration['devices'][string];

function perDevice(change: (device: Device) => Device): (given: Calibration) => Calibration {
  return (given) => ({
    ...given,
    devices: Object.fromEntries(
      Object.entries(given.devices).map(([name, device]) => [name, change(device)]),
    ),
  });
}

export const ablations: readonly Ablation[] = [
  { name: 'step overhead (fitted)', terms: { stepOverhead: false } },
  {
    name: 'front-end delay (fitted)',
    calibration: perDevice((device) => ({ ...device, front_end_delay_ns: 0 })),
  },
  {
    name: 'link inside a TP group (fitted)',
    calibration: perDevice(({ link: _link, ...device }) => device),
  },
  { name: 'host warm-up', terms: { warmUp: false } },
  {
    name: 'power meter lag (fitted)',
    calibration: perDevice(({ power_meter_lag_ns: _lag, ...device }) => device),
  },
  { name: 'one-batch lag of asynchronous scheduling', engine: { async_scheduling: false } },
  { name: 'batch padding', terms: { batchPadding: false } },
  { name: 'fused elementwise kernels', terms: { fusedElementwise: false } },
  { name: 'unpacked query heads', terms: { unpackedQueryHeads: false } },
  { name: 'weight floor', terms: { weightFloor: false } },
  { name: 'embedding all-reduce', terms: { embeddingAllReduce: false } },
  { name: 'logits all-gather', terms: { logitsGather: false } },
  {
    name: 'wait for the longest decodes (off where calibrated)',
    terms: { decodeTail: true },
    isOff: true,
  },
];

/** Mean absolute error over limited metrics, percent; undefined without any. */
export function meanAbsoluteError({ rows }: CaseResult): number | undefined {
  const errors = rows.flatMap(({ limitPct, errorPct }) =>
    limitPct === null || limitPct === 0 || errorPct === null ? [] : [Math.abs(errorPct)],
  );
  if (errors.length === 0) return undefined;
  return errors.reduce((sum, error) => sum + error, 0) / errors.length;
}

export interface AblationRow {
  readonly name: string;
  /** Points that the term takes off a case's error; undefined where it could not be measured. */
  readonly gains: readonly (number | undefined)[];
}

export function formatAblation(
  cases: readonly { readonly id: string; readonly error: number | undefined }[],
  rows: readonly AblationRow[],
): string {
  const cells = (values: readonly string[]): string => `| ${values.join(' | ')} |`;
  const number = (value: number | undefined): string => {
    if (value === undefined || Math.abs(value) < 0.005) return '';
    return `${value > 0 ? '+' : ''}${value.toFixed(2)}`;
  };
  return [
    cells(['term', ...cases.map(({ id }) => id)]),
    cells(['---', ...cases.map(() => '---:')]),
    cells(['mean error with all terms, %', ...cases.map(({ error }) => error?.toFixed(2) ?? '')]),
    ...rows.map(({ name, gains }) => cells([name, ...gains.map(number)])),
  ].join('\n');
}
