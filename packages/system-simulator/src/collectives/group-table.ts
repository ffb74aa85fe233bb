/**
 * Groups of NPUs and the collectives they have begun. The n-th collective that a member issues in a
 * group meets the n-th of every other member, so NPUs agree on which is which whatever else they ran.
 */
import { UserError } from '@astrolabe/base';
import { collectiveName } from '@astrolabe/chakra';
import type { SizeCurve } from '@astrolabe/config';
import type { LinkTraffic } from '../network/aware.js';
import type { StepTimes } from './closed-times.js';
import type { CollectiveKind, PhaseSpec } from './phase.js';

/** Where groups come from. */
export const undefinedGroup =
  'the trace defines no such group; give a file with --comm-group-configuration: {"1": [0, 1]}';

export interface Group {
  readonly key: string;
  readonly members: readonly number[];
  readonly indexOf: ReadonlyMap<number, number>;
  /** Collectives issued so far, per member. */
  readonly issued: Int32Array;
  readonly sites: Map<number, Site>;
  /** Sites that may be used again. */
  readonly spareSites: Site[];
  /** Common duration when all begin together, by kind and size; NaN if they end apart. */
  readonly together: Map<number, number>;
  readonly steps: Map<number, StepTimes>;
  /** What each is when nothing else goes on, by kind and size; with congestion only. */
  readonly alone: Map<number, Alone>;
  /** Its members send to each other over links that no other NPUs use; undefined: not looked at yet. */
  hasOwnLinks: boolean | undefined;
  /** What the message engine runs, by kind and size: per member, per chunk. */
  readonly phases: Map<number, readonly (readonly PhaseSpec[])[]>;
  /** Measured times by kind; null: the network decides. */
  readonly measured: (SizeCurve | null | undefined)[];
}

/** A collective on a network where nothing else goes on, its members beginning together. */
export interface Alone {
  /** NaN if they end apart. */
  readonly durationNs: number;
  /** By NPU. */
  readonly sentBytes: Float64Array;
  readonly links: readonly LinkTraffic[];
}

/** One collective: who has begun it. Used again for a later one when all have. */
export interface Site {
  readonly group: Group;
  sequence: number;
  kind: CollectiveKind;
  sizeBytes: number;
  firstNpu: number;
  /** By member; of those who have begun it. */
  readonly beginNs: Float64Array;
  readonly tasks: Int32Array;
  arrived: number;
  /** First tag of its chunks on the message engine. */
  tag: number;
}

/** A collective's kind and size as one key. */
export const kindAndSize = (kind: CollectiveKind, sizeBytes: number): number =>
  sizeBytes * 16 + kind;

export class GroupTable {
  private readonly groups = new Map<string, Group>();
  private readonly groupOfList = new WeakMap<readonly number[], Group>();
  private readonly splits: number;
  private readonly numNpus: number;
  private nextTag = -1;

  /** @param splits chunks of a collective, each with a tag of its own: negative, unlike any node's */
  constructor(splits: number, numNpus: number) {
    this.splits = splits;
    this.numNpus = numNpus;
  }

  /** The group of these NPUs, in this order. @throws UserError on repeated members, or absent ones */
  of(members: readonly number[]): Group {
    const known = this.groupOfList.get(members);
    if (known !== undefined) return known;
    const key = members.join();
    let group = this.groups.get(key);
    if (group === undefined) {
      const indexOf = new Map(members.map((npu, index) => [npu, index]));
      if (indexOf.size !== members.length) {
        throw new UserError(`communicator group [${key}] names an NPU twice`);
      }
      const absent = members.find((npu) => npu >= this.numNpus);
      if (absent !== undefined) {
        throw new UserError(
          `communicator group [${key}] names NPU ${absent}, but the machine has ${this.numNpus}`,
        );
      }
      group = {
        key,
        members,
        indexOf,
        issued: new Int32Array(members.length),
        sites: new Map(),
        spareSites: [],
        together: new Map(),
        steps: new Map(),
        alone: new Map(),
        hasOwnLinks: undefined,
        phases: new Map(),
        measured: [],
      };
      this.groups.set(key, group);
    }
    this.groupOfList.set(members, group);
    return group;
  }

  /**
   * The collective that member `index` begins next.
   * @throws UserError when other members' is of another kind or size
   */
  next(group: Group, index: number, kind: CollectiveKind, sizeBytes: number): Site {
    const npu = group.members[index];
    const sequence = group.issued[index]++;
    let site = group.sites.get(sequence);
    if (site === undefined) {
      site = this.newSite(group, sequence, kind, sizeBytes, npu);
      group.sites.set(sequence, site);
      return site;
    }
    if (site.kind !== kind || site.sizeBytes !== sizeBytes) {
      throw new UserError(
        `collective ${sequence} of group [${group.key}] is ${collectiveName(kind)} of ` +
          `${sizeBytes} bytes on NPU ${npu}, ${collectiveName(site.kind)} of ` +
          `${site.sizeBytes} bytes on NPU ${site.firstNpu}`,
      );
    }
    return site;
  }

  /** All members have begun it, and nobody needs to know any more. */
  close(site: Site): void {
    site.group.sites.delete(site.sequence);
    site.group.spareSites.push(site);
  }

  /** Collectives that some members have not begun. */
  open(): Site[] {
    const sites: Site[] = [];
    for (const group of this.groups.values()) sites.push(...group.sites.values());
    return sites;
  }

  private newSite(
    group: Group,
    sequence: number,
    kind: CollectiveKind,
    sizeBytes: number,
    firstNpu: number,
  ): Site {
    const tag = this.nextTag;
    this.nextTag -= this.splits;
    const spare = group.spareSites.pop();
    if (spare === undefined) {
      const n = group.members.length;
      const [beginNs, tasks] = [new Float64Array(n), new Int32Array(n)];
      return { group, sequence, kind, sizeBytes, firstNpu, beginNs, tasks, arrived: 0, tag };
    }
    spare.sequence = sequence;
    spare.kind = kind;
    spare.sizeBytes = sizeBytes;
    spare.firstNpu = firstNpu;
    spare.arrived = 0;
    spare.tag = tag;
    return spare;
  }
}
