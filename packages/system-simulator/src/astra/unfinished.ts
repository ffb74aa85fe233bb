/** Why NPUs did not finish: per NPU the nodes in its slots, then receives and messages left over. */
import type { Run } from '../feeder/run.js';
import type { Mailbox } from '../network/mailbox.js';
import { heldSlots } from '../stuck.js';
import { collectiveTagBase } from './planner.js';
import type { AstraSimulation } from './simulation.js';

/** One finding a line; none when all NPUs finished. */
export function describeUnfinished(simulation: AstraSimulation): string[] {
  const runs = simulation.unfinished();
  if (runs.length === 0) return [];
  const endless = simulation.planner.endless;
  return [...endless, ...runs.map(runLine), ...mailboxLines(simulation.core.mailbox)];
}

function runLine(run: Run): string {
  const { program } = run;
  const left = program.nodeCount - run.nodesDone;
  const held = heldSlots(run).map(({ slot, node }) => `its ${slot} slot is held by ${node}`);
  const what = held.length === 0 ? 'it only waits to receive' : held.join(', ');
  return `NPU ${run.npu} never finishes: ${left} of ${program.nodeCount} nodes left, ${what}`;
}

function mailboxLines(mailbox: Mailbox): string[] {
  const kind = (tag: number): string =>
    tag >= collectiveTagBase ? `of collective ${tag - collectiveTagBase}` : `with tag ${tag}`;
  const waiting = mailbox
    .waiting()
    .map(
      ({ tag, src, dst, sizeBytes }) =>
        `NPU ${dst} waits for ${sizeBytes} bytes of NPU ${src} ${kind(tag)}`,
    );
  const unread = mailbox
    .unread()
    .map(
      ({ tag, src, dst, sizeBytes }) =>
        `NPU ${dst} never received ${sizeBytes} bytes of NPU ${src} ${kind(tag)}`,
    );
  return [...waiting, ...unread];
}
