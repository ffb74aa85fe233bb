/**
 * How many collectives and messages of a run a table of measured links timed, and how far its error
 * reaches: for the trust card.
 */
import type { MeasuredLinks } from '@astrolabe/config';
import type { Communications, Completion } from '@astrolabe/system-simulator';

export interface MeasuredLinksUse {
  /** Each table's file and source. */
  readonly tables: readonly string[];
  /** Null when the system simulator does not say. */
  readonly communications: Communications | null;
  /** Of the time that devices do something in steps, communication that no computation covers. */
  readonly exposedShare: number;
  /** Half-width of the 90 % interval of the tables' times, percent; null where one does not say. */
  readonly errorPct: number | null;
}

export class CommunicationCount {
  private readonly links: readonly MeasuredLinks[] | undefined;
  private total: Communications | null = null;
  private exposedNs = 0;
  private busyNs = 0;

  constructor(links: readonly MeasuredLinks[] | undefined) {
    this.links = links;
  }

  add({ communications, lane, npus }: Completion): void {
    if (communications === undefined) return;
    this.total ??= { measured: 0, beyond: 0, simulated: 0 };
    this.total.measured += communications.measured;
    this.total.beyond += communications.beyond;
    this.total.simulated += communications.simulated;
    if (lane !== 0) return;
    // Not the step's time: of two stages one waits while the other communicates.
    for (const { computeNs, exposedCommNs, exposedMemoryNs } of npus) {
      this.busyNs += computeNs + exposedCommNs + exposedMemoryNs;
      this.exposedNs += exposedCommNs;
    }
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
      exposedShare: this.busyNs === 0 ? 0 : this.exposedNs / this.busyNs,
      errorPct: known.length < errors.length ? null : Math.max(...known),
    };
  }
}

/** Relative error of a step that comes from the tables' times, were they all off the same way. */
export function linkError(use: MeasuredLinksUse | undefined): number {
  return use === undefined ? 0 : ((use.errorPct ?? 0) / 100) * use.exposedShare;
}
