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

/**
 * ASTRA-sim calls an NPU finished when nothing of it can start any more, also if nodes are left that
 * wait for each other. One line, or none.
 */
export function describeLeftOut(simulation: AstraSimulation): string | undefined {
  const short = simulation.finishedResults().filter(({ run }) => leftOf(run) > 0);
  if (short.length === 0) return undefined;
  const [{ run, result }] = short.toSorted((a, b) => a.result.npu - b.result.npu);
  const others = short.length === 1 ? '' : ` (and ${short.length - 1} more NPUs)`;
  return (
    `NPU ${result.npu}${others}: finished as ASTRA-sim sees it, but ${leftOf(run)} of ` +
    `${run.program.nodeCount} nodes never ran: they wait for each other, see chakra lint`
  );
}

function leftOf({ program, nodesDone }: Run): number {
  return program.nodeCount - nodesDone;
}

function runLine(run: Run): string {
  const { program } = run;
  const left = leftOf(run);
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
