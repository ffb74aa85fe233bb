/**
 * How much of a run is communication, how many collectives and messages a table of measured links
 * timed, and how far the error of links reaches: for the trust card and the intervals.
 */
import type { MeasuredLinks } from '@astrolabe/config';
import {
  type Communications,
  type Completion,
  communicationsSchema,
} from '@astrolabe/system-simulator';
import { z } from 'zod';

export const measuredLinksUseSchema = z.strictObject({
  tables: z.array(z.string()).readonly().describe("each table's file and source"),
  communications: communicationsSchema
    .nullable()
    .describe('null when the system simulator does not say'),
  exposedShare: z
    .number()
    .describe('of the time that devices do something in steps, communication alone'),
  errorPct: z
    .number()
    .nullable()
    .describe("half-width of the 90 % interval of the tables' times; null where one does not say"),
});
export type MeasuredLinksUse = Readonly<z.infer<typeof measuredLinksUseSchema>>;

export class CommunicationCount {
  private readonly links: readonly MeasuredLinks[] | undefined;
  private total: Communications | null = null;
  private exposedNs = 0;
  private busyNs = 0;

  constructor(links: readonly MeasuredLinks[] | undefined) {
    this.links = links;
  }

  add({ communications, lane, npus }: Completion): void {
    if (communications !== undefined) {
      this.total ??= { measured: 0, beyond: 0, simulated: 0 };
      this.total.measured += communications.measured;
      this.total.beyond += communications.beyond;
      this.total.simulated += communications.simulated;
    }
    if (lane !== 0) return;
    // Not the step's time: of two stages one waits while the other communicates.
    for (const { computeNs, exposedCommNs, exposedMemoryNs } of npus) {
      this.busyNs += computeNs + exposedCommNs + exposedMemoryNs;
      this.exposedNs += exposedCommNs;
    }
  }

  /** Of the time that devices do something in steps, communication that no computation covers. */
  get exposedShare(): number {
    return this.busyNs === 0 ? 0 : this.exposedNs / this.busyNs;
  }

  /** @returns undefined without measured links */
  use(): MeasuredLinksUse | undefined {
    if (this.links === undefined) return undefined;
    const tables = this.links.map(({ file, hardware, table }) => {
      const whose = hardware === undefined ? '' : ` for ${hardware}`;
      return `${file}${whose}: ${table.source}`;
    });
    const errors = this.links.map(({ table }) => table.error_pct);
    const known = errors.filter((error) => error !== undefined);
    return {
      tables,
      communications: this.total,
      exposedShare: this.exposedShare,
      errorPct: known.length < errors.length ? null : Math.max(...known),
    };
  }
}

/** What is known of a run's links. */
export interface LinkKnowledge {
  readonly exposedShare: number;
  readonly measured: MeasuredLinksUse | undefined;
  /** The calibration fitted them; their error is then in its step's interval. */
  readonly fitted: boolean;
  /** Error of links that a cluster file assumes, percent of their time. */
  readonly assumedPct: number;
}

/** Relative error of a step that comes from links' times, were they all off the same way. */
export function linkError({ exposedShare, measured, fitted, assumedPct }: LinkKnowledge): number {
  if (fitted) return 0;
  const pct = measured === undefined ? assumedPct : (measured.errorPct ?? assumedPct);
  return (pct / 100) * exposedShare;
}
