/**
 * A measured profile carried over to another device, TP degree, dtype or model shape: every measured
 * time is multiplied by what the two rooflines say the change does to it at those keys. What both
 * rooflines get equally wrong cancels. The result is marked as derived and carries the error that
 * the source's own roofline makes on the source as a rough bound.
 */
import { UserError } from '@astrolabe/base';
import type { ModelShape } from '@astrolabe/config';
import {
  type Device,
  type LatencyModel,
  modelOfTable,
  type ProfileTable,
  ProfileTableBuilder,
  rooflineTable,
  rowAt,
  tpDegreesOf,
} from '@astrolabe/profile';
import { differences, lookUp } from './diff.js';

export interface TransferEnd {
  readonly device: Device;
  readonly shape: ModelShape;
  readonly dtype: string;
}

/** @throws UserError a device without that dtype, a shape that cannot be divided so */
export function transferTable(
  measured: ProfileTable,
  from: TransferEnd,
  to: TransferEnd,
  tpDegrees: readonly number[],
): ProfileTable {
  const sourceDegrees = tpDegreesOf(measured);
  const before = modelOfTable(rooflineTable(from.device, from.shape, from.dtype, sourceDegrees));
  const afterTable = rooflineTable(to.device, to.shape, to.dtype, tpDegrees);
  const after = modelOfTable(afterTable);
  const builder = new ProfileTableBuilder();
  const kept = new Set<string>();
  for (const tp of tpDegrees) {
    const source = nearestDegree(sourceDegrees, tp);
    carry(measured, source, tp, before, after, builder, kept, from.device.name === to.device.name);
    const missing = after.operators(tp).filter((name) => !kept.has(`${name} ${tp}`));
    addRooflineRows(afterTable, tp, new Set(missing), builder);
  }
  if (builder.length === 0) throw new UserError('nothing to transfer: no operator in common');
  return builder.build({
    hardware: to.device.name,
    model: to.shape.name,
    dtype: to.dtype,
    source:
      `transferred from ${measured.info.hardware}/${measured.info.model}/${measured.info.dtype} ` +
      `(${measured.info.source}) by the ratio of rooflines`,
    measurement: 'derived',
    // Of the source, as its counts of unequal decodes are kept.
    splitsBelow: measured.info.splitsBelow,
    notes: [expectedError(measured, before)],
  });
}

function nearestDegree(degrees: readonly number[], tp: number): number {
  if (degrees.length === 0) throw new UserError('the profile has no rows');
  const distance = (degree: number): number => Math.abs(Math.log(degree / tp));
  return degrees.reduce((best, degree) => (distance(degree) < distance(best) ? degree : best));
}

function carry(
  measured: ProfileTable,
  source: number,
  tp: number,
  before: LatencyModel,
  after: LatencyModel,
  into: ProfileTableBuilder,
  kept: Set<string>,
  sameDevice: boolean,
): void {
  for (let i = 0; i < measured.length; i++) {
    if (measured.tp[i] !== source) continue;
    const row = rowAt(measured, i);
    // What one device draws says nothing about another.
    if (!sameDevice) delete row.powerWatts;
    if (row.kind === 'collective') continue;
    if (row.kind === 'skew') {
      // Only ratios count in these rows.
      into.add({ ...row, tp });
      continue;
    }
    const name = row.kind === 'attention' || row.kind === 'moe' ? row.kind : row.operator;
    if (!before.has(name, source) || !after.has(name, tp)) continue;
    const ratio = lookUp(measured, i, after, tp) / lookUp(measured, i, before, source);
    kept.add(`${row.operator} ${tp}`);
    into.add({ ...row, tp, durationNs: Math.max(1, Math.round(row.durationNs * ratio)) });
  }
}

/** Operators that the source model does not have, from the roofline alone. */
function addRooflineRows(
  roofline: ProfileTable,
  tp: number,
  operators: ReadonlySet<string>,
  into: ProfileTableBuilder,
): void {
  for (let i = 0; i < roofline.length; i++) {
    const name = roofline.operators[roofline.operator[i]];
    if (roofline.tp[i] === tp && operators.has(name)) into.add(rowAt(roofline, i));
  }
}

function expectedError(measured: ProfileTable, roofline: LatencyModel): string {
  const rows = differences(measured, roofline, new Set());
  const mean = rows.reduce((sum, row) => sum + row.meanAbsPercent, 0) / Math.max(1, rows.length);
  return (
    `expected error up to ${mean.toFixed(0)} % per operator: what the source's own roofline is off ` +
    'by against its measurement, mean over operators'
  );
}
