/**
 * Who waits for what: the report that ends a run which cannot go on. Receives without their message,
 * messages nobody asked for, collectives that members have not joined, nodes whose parents never end.
 */
import { collectiveName, type GraphSet } from '@astrolabe/chakra';
import type { Site } from './collectives/group-table.js';
import { rowOf } from './feeder/program.js';
import type { Run } from './feeder/run.js';
import type { Mailbox } from './network/mailbox.js';

export interface StuckReport {
  /** Nothing can happen any more, and something is unfinished. */
  readonly stuck: boolean;
  readonly nowNs: number;
  /** One finding a line. */
  readonly lines: readonly string[];
}

interface StuckInput {
  readonly idle: boolean;
  readonly nowNs: number;
  readonly runs: readonly { readonly run: Run; readonly set: GraphSet }[];
  readonly sites: readonly Site[];
  readonly mailbox: Mailbox;
}

/** Says it line by line; without lines everything has finished. */
export function stuckReport(input: StuckInput): StuckReport {
  const lines: string[] = [];
  for (const { run, set } of input.runs) {
    const left = run.program.nodeCount - run.nodesDone;
    lines.push(
      `NPU ${run.npus.join(', ')}: ${left} of ${run.program.nodeCount} nodes left of iteration ` +
        `${set.iteration} of instance ${set.instance}${heldNodes(run)}`,
    );
  }
  for (const site of input.sites) lines.push(siteLine(site));
  // What a collective's own messages (tags below 0) wait for, its line above says.
  for (const { tag, src, dst, sizeBytes } of input.mailbox.waiting()) {
    if (tag < 0) continue;
    lines.push(`NPU ${dst} waits for ${sizeBytes} bytes of NPU ${src} with tag ${tag}`);
  }
  for (const { tag, src, dst, sizeBytes, count } of input.mailbox.unread()) {
    if (tag < 0) continue;
    const times = count === 1 ? '' : ` (${count} messages)`;
    lines.push(
      `NPU ${dst} never received ${sizeBytes} bytes of NPU ${src} with tag ${tag}${times}`,
    );
  }
  return { stuck: input.idle && input.runs.length > 0, nowNs: input.nowNs, lines };
}

function heldNodes(run: Run): string {
  const held = heldSlots(run).map(({ slot, node }) => `${slot} slot held by ${node}`);
  return held.length === 0 ? '' : `; ${held.join(', ')}`;
}

const slotNames = ['CPU', 'compute', 'communication'];

/** Slots that a run occupies, each with the node that holds it. */
export function heldSlots({ busy, holder, program }: Run): { slot: string; node: string }[] {
  const { id, strings, name } = program.graph;
  return slotNames.flatMap((slot, index) => {
    if (!busy[index]) return [];
    const row = rowOf(program, holder[index]);
    return [{ slot, node: `node ${id[row]} "${strings[name[row]] ?? ''}"` }];
  });
}

function siteLine(site: Site): string {
  const { members, issued } = site.group;
  const missing = members.filter((_, index) => issued[index] <= site.sequence);
  return (
    `collective ${site.sequence} of group [${site.group.key}] (${collectiveName(site.kind)}, ` +
    `${site.sizeBytes} bytes) misses NPU ${missing.join(', ')}`
  );
}
