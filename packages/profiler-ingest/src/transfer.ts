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
  type ProfileRow,
  type ProfileTable,
  ProfileTableBuilder,
  rooflineTable,
  rowAt,
  tpDegreesOf,
} from '@astrolabe/profile';
import { differences, knowsRow, lookUp } from './diff.js';

interface TransferEnd {
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
  const sameDevice = from.device.name === to.device.name;
  const added = new Set<string>();
  for (const tp of tpDegrees) {
    const source = nearestDegree(sourceDegrees, tp);
    const kept = carry(measured, source, tp, before, after, builder, sameDevice);
    addRooflineRows(afterTable, tp, kept, builder, added);
  }
  // On one device what its roofline gets wrong cancels, but for what is the roofline itself.
  const isRoofline = [...added].some((part) => part.startsWith('attention'));
  const caution =
    sameDevice && !isRoofline
      ? measured.info.caution
      : (to.device.roofline_caution ?? from.device.roofline_caution);
  if (builder.length === 0) throw new UserError('nothing to transfer: no operator in common');
  return builder.build({
    hardware: to.device.name,
    model: to.shape.name,
    dtype: to.dtype,
    source:
      `transferred from ${measured.info.hardware}/${measured.info.model}/${measured.info.dtype} ` +
      `(${measured.info.source}) by the ratio of rooflines`,
    measurement: 'derived',
    ...(caution === undefined ? {} : { caution }),
    // Of the source, as its counts of unequal decodes are kept.
    splitsBelow: measured.info.splitsBelow,
    notes: [
      expectedError(measured, before),
      ...(added.size === 0
        ? []
        : [`not measured, from the roofline alone: ${[...added].join(', ')}`]),
    ],
  });
}

function nearestDegree(degrees: readonly number[], tp: number): number {
  if (degrees.length === 0) throw new UserError('the profile has no rows');
  const distance = (degree: number): number => Math.abs(Math.log(degree / tp));
  return degrees.reduce((best, degree) => (distance(degree) < distance(best) ? degree : best));
}

/** @returns the names of what was carried (`partOf`) */
function carry(
  measured: ProfileTable,
  source: number,
  tp: number,
  before: LatencyModel,
  after: LatencyModel,
  into: ProfileTableBuilder,
  sameDevice: boolean,
): Set<string> {
  const kept = new Set<string>();
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
    if (!knowsRow(before, measured, i, source) || !knowsRow(after, measured, i, tp)) continue;
    const ratio = lookUp(measured, i, after, tp) / lookUp(measured, i, before, source);
    kept.add(partOf(row));
    into.add({ ...row, tp, durationNs: Math.max(1, Math.round(row.durationNs * ratio)) });
  }
  return kept;
}

/** The operator; of attention decodes, a chunk and a mix of both are told apart. */
function partOf({ kind, operator, tokens = 0, sequences = 0 }: ProfileRow): string {
  if (kind !== 'attention') return operator;
  if (tokens === 0) return 'attention of decodes';
  return sequences === 0 ? 'attention of a chunk' : 'attention of a mix';
}

/**
 * What the source does not have, from the roofline alone. A mix of measured halves is their sum.
 * @param added collects what that was
 */
function addRooflineRows(
  roofline: ProfileTable,
  tp: number,
  kept: ReadonlySet<string>,
  into: ProfileTableBuilder,
  added: Set<string>,
): void {
  const keepsAttention = [...kept].some((name) => name.startsWith('attention of'));
  for (let i = 0; i < roofline.length; i++) {
    if (roofline.tp[i] !== tp) continue;
    const row = rowAt(roofline, i);
    const part = partOf(row);
    if (kept.has(part) || (part === 'attention of a mix' && keepsAttention)) continue;
    added.add(part);
    into.add(row);
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
