/**
 * One run in the way asked for. Where stock ASTRA-sim dies or waits for ever because of its own
 * defects, the answer is that of a build with them repaired, which also issues the successors of
 * nodes that take no time at once: so such a run is made again with that repair.
 */

import type { MessageListener } from '../core.js';
import type { NodeListener } from '../feeder/issue.js';
import { type AstraInputs, AstraSimulation } from './simulation.js';

export interface AstraListeners {
  readonly onNode?: NodeListener;
  readonly onMessage?: MessageListener;
}

/**
 * @param listeners made anew for each attempt
 * @throws UserError where the input is at fault
 */
export function runAstra(
  inputs: AstraInputs,
  listeners: () => AstraListeners = () => ({}),
): AstraSimulation {
  const simulation = attempt(inputs, listeners());
  const { repairs } = inputs;
  if (repairs.wakeAfterSkip || !simulation.hasSkips || !stockFails(simulation, inputs)) {
    return simulation;
  }
  return attempt({ ...inputs, repairs: { ...repairs, wakeAfterSkip: true } }, listeners());
}

function attempt(inputs: AstraInputs, listeners: AstraListeners): AstraSimulation {
  const simulation = new AstraSimulation(inputs);
  if (listeners.onNode !== undefined) simulation.onNode = listeners.onNode;
  if (listeners.onMessage !== undefined) simulation.onMessage = listeners.onMessage;
  simulation.run();
  return simulation;
}

/** An event at time 0, a ring of two with congestion, an NPU that never finishes. */
function stockFails(simulation: AstraSimulation, { backend, network }: AstraInputs): boolean {
  const ringOfTwo =
    backend === 'congestion-aware' && network.topology[0] === 'Ring' && network.npus_count[0] === 2;
  return ringOfTwo || simulation.eventAtZero || simulation.unfinished().length > 0;
}
