/** How many collectives and messages of a run a table of measured links timed, for the trust card. */
import type { MeasuredLinks } from '@astrolabe/config';
import type { Communications, Completion } from '@astrolabe/system-simulator';

export interface MeasuredLinksUse {
  /** Each table's file and source. */
  readonly tables: readonly string[];
  /** Null when the system simulator does not say. */
  readonly communications: Communications | null;
}

export class CommunicationCount {
  private readonly links: readonly MeasuredLinks[] | undefined;
  private total: Communications | null = null;

  constructor(links: readonly MeasuredLinks[] | undefined) {
    this.links = links;
  }

  add({ communications }: Completion): void {
    if (communications === undefined) return;
    this.total ??= { measured: 0, beyond: 0, simulated: 0 };
    this.total.measured += communications.measured;
    this.total.beyond += communications.beyond;
    this.total.simulated += communications.simulated;
  }

  /** @returns undefined without measured links */
  use(): MeasuredLinksUse | undefined {
    if (this.links === undefined) return undefined;
    const tables = this.links.map(({ file, hardware, table }) => {
      const whose = hardware === undefined ? '' : ` for ${hardware}`;
      return `${file}${whose}: ${table.source}`;
    });
    return { tables, communications: this.total };
  }
}
