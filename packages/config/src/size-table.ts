/**
 * Measured times of collectives and messages by size, in place of links: small messages keep a
 * regime of their own, which no latency and bandwidth gives. Linear between measured sizes, the
 * smallest size's time below them, and beyond the largest the bandwidth of the last two sizes, or,
 * where sizes lie closer than doubling, of the upper half (two close neighbours differ by noise).
 */
import { interpolate, parseWith, UserError, upperSlope } from '@astrolabe/base';
import { z } from 'zod';

export const measuredKinds = [
  'all_reduce',
  'all_gather',
  'reduce_scatter',
  'all_to_all',
  'send_recv',
] as const;
export type MeasuredKind = (typeof measuredKinds)[number];

const positive = z.number().int().positive();

const sizeCurveSchema = z.strictObject({
  collective: z.enum(measuredKinds),
  participants: z.number().int().min(2),
  devices_per_node: positive
    .optional()
    .describe('participants in each node; default: all of them in one'),
  size_bytes: z
    .array(positive)
    .min(2)
    .describe('ascending; what each participant puts in: of an all-gather its shard'),
  duration_ns: z.array(z.number().min(1).max(1e15)).min(2).describe('one per size'),
});

const sizeTableSchema = z
  .strictObject({
    source: z.string().min(1).describe('who measured it, on what'),
    error_pct: z
      .number()
      .nonnegative()
      .optional()
      .describe('half-width of the 90 % interval of its times, percent: a run carries it on'),
    curves: z.array(sizeCurveSchema).min(1),
  })
  .describe('Size table: measured collectives and messages');

export type SizeTable = z.infer<typeof sizeTableSchema>;

export class SizeCurve {
  readonly sizesBytes: Float64Array;
  readonly timesNs: Float64Array;
  private readonly last: number;
  private readonly slope: number;

  /** @param sizesBytes ascending, as long as `timesNs` */
  constructor(sizesBytes: ArrayLike<number>, timesNs: ArrayLike<number>) {
    this.sizesBytes = Float64Array.from(sizesBytes);
    this.timesNs = Float64Array.from(timesNs);
    this.last = this.sizesBytes[this.sizesBytes.length - 1];
    this.slope = upperSlope(this.sizesBytes, this.timesNs);
  }

  /** @returns integer ns, at least 1 */
  timeNs(sizeBytes: number): number {
    const inside = interpolate(this.sizesBytes, this.timesNs, sizeBytes);
    const beyond = Math.max(0, sizeBytes - this.last) * this.slope;
    return Math.max(1, Math.round(inside + beyond));
  }

  /** Whether its time there is extrapolated. */
  isBeyond(sizeBytes: number): boolean {
    return sizeBytes > this.last;
  }
}

/** @throws UserError with file and JSON path */
export function parseSizeTable(value: unknown, at: string): SizeTable {
  const table = parseWith(sizeTableSchema, value, at);
  const seen = new Set<string>();
  table.curves.forEach((curve, i) => {
    const place = `${at}: curves[${i}]`;
    const { collective, participants, size_bytes: sizes, duration_ns: times } = curve;
    const perNode = curve.devices_per_node ?? participants;
    if (sizes.length !== times.length) {
      throw new UserError(`${times.length} durations for ${sizes.length} sizes`, {
        at: `${place}.duration_ns`,
      });
    }
    const back = sizes.findIndex((size, k) => k > 0 && size <= sizes[k - 1]);
    if (back > 0) {
      throw new UserError(`${sizes[back]} after ${sizes[back - 1]}: sizes must ascend`, {
        at: `${place}.size_bytes[${back}]`,
      });
    }
    if (collective === 'send_recv' && participants !== 2) {
      throw new UserError('send_recv is between 2', { at: `${place}.participants` });
    }
    if (participants % perNode !== 0) {
      throw new UserError(`${perNode} a node do not divide ${participants} participants`, {
        at: `${place}.devices_per_node`,
      });
    }
    const name = describeCurve(curve);
    if (seen.has(name)) throw new UserError(`${name} is there twice`, { at: place });
    seen.add(name);
  });
  return table;
}

/** @returns position in `table.curves`, or -1 */
export function findCurve(
  table: SizeTable,
  collective: MeasuredKind,
  participants: number,
  perNode: number,
): number {
  return table.curves.findIndex(
    (curve) =>
      curve.collective === collective &&
      curve.participants === participants &&
      (curve.devices_per_node ?? participants) === perNode,
  );
}

type CurveName = Pick<SizeTable['curves'][number], 'collective' | 'participants'> & {
  readonly devices_per_node?: number | undefined;
};

/** `all_reduce of 4 in one node` */
export function describeCurve(curve: CurveName): string {
  const { collective, participants } = curve;
  const perNode = curve.devices_per_node ?? participants;
  if (perNode === participants) return `${collective} of ${participants} in one node`;
  const place = perNode === 0 ? 'spread unevenly' : `${perNode} a node`;
  return `${collective} of ${participants}, ${place}`;
}
