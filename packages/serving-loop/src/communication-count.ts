/**
 * How much of a run is communication or waits for memory below devices, how many collectives and
 * messages a table of measured links timed, and how far the error of all that reaches: for the trust
 * card and the intervals.
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
  private tiersNs = 0;
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
      this.tiersNs += exposedMemoryNs;
    }
  }

  /** Of the time that devices do something in steps, communication that no computation covers. */
  get exposedShare(): number {
    return this.busyNs === 0 ? 0 : this.exposedNs / this.busyNs;
  }

  /** Of the same time, waits for memory below the devices. */
  get tiersShare(): number {
    return this.busyNs === 0 ? 0 : this.tiersNs / this.busyNs;
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
interface LinkKnowledge {
  readonly exposedShare: number;
  /** Waits for memory below the devices, whose bandwidth the cluster file always assumes. */
  readonly tiersShare: number;
  readonly measured: MeasuredLinksUse | undefined;
  /** The calibration fitted them; their error is then in its step's interval. */
  readonly fitted: boolean;
  /** Error of what a cluster file assumes, percent of its time. */
  readonly assumedPct: number;
}

/** Relative error of a step from links' and memory tiers' times, were they all off the same way. */
export function linkError(known: LinkKnowledge): number {
  const { exposedShare, tiersShare, measured, fitted, assumedPct } = known;
  const linkPct = fitted ? 0 : (measured?.errorPct ?? assumedPct);
  return (linkPct * exposedShare + assumedPct * tiersShare) / 100;
}
