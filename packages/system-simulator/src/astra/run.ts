/**
 * One run in the way asked for. Where stock ASTRA-sim dies or waits for ever because of its own
 * defects, the answer is that of a build with them repaired, which also issues the successors of
 * nodes that take no time at once: so such a run is made again with that repair.
 */

import type { MessageListener } from '../core.js';
import type { NodeListener } from '../feeder/issue.js';
import { compileProgram, Op } from '../feeder/program.js';
import { canFold } from './fold.js';
import { type AstraInputs, AstraSimulation, nodeRules } from './simulation.js';

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
  fast: FastPaths = 'auto',
): AstraSimulation {
  const simulation = attempt(inputs, listeners(), fast);
  const { repairs } = inputs;
  if (repairs.wakeAfterSkip || !simulation.hasSkips || !stockFails(simulation, inputs)) {
    return simulation;
  }
  return attempt({ ...inputs, repairs: { ...repairs, wakeAfterSkip: true } }, listeners(), fast);
}

/**
 * `auto` folds large runs only: a small one costs nothing, and expanded it prints its lines and
 * messages in ASTRA-sim's own order.
 */
export type FastPaths = 'auto' | 'always' | 'never';

const foldFromMessages = 20_000;

function attempt(inputs: AstraInputs, listeners: AstraListeners, fast: FastPaths): AstraSimulation {
  const observed = listeners.onNode !== undefined || listeners.onMessage !== undefined;
  if (fast !== 'never' && !observed && isWorthwhile(inputs, fast)) {
    const folded = new AstraSimulation(inputs, true);
    folded.run();
    // What cannot end is told with all its NPUs.
    if (folded.unfinished().length === 0) return folded;
  }
  const simulation = new AstraSimulation(inputs);
  if (listeners.onNode !== undefined) simulation.onNode = listeners.onNode;
  if (listeners.onMessage !== undefined) simulation.onMessage = listeners.onMessage;
  simulation.run();
  return simulation;
}

function isWorthwhile(inputs: AstraInputs, fast: FastPaths): boolean {
  const { graphs } = inputs;
  if (graphs.some((graph) => graph !== graphs[0])) return false;
  const program = compileProgram(graphs[0], nodeRules(inputs), inputs.graphName(0));
  if (!canFold(inputs, program)) return false;
  if (fast === 'always') return true;
  const collectives = program.op.reduce((sum, op) => sum + (op === Op.collective ? 1 : 0), 0);
  const perNpu = collectives * inputs.system.splits * 2 * (graphs.length - 1);
  return perNpu * graphs.length > foldFromMessages || program.nodeCount * graphs.length > 50_000;
}

/** An event at time 0, a ring of two with congestion, an NPU that never finishes. */
function stockFails(simulation: AstraSimulation, { backend, network }: AstraInputs): boolean {
  const ringOfTwo =
    backend === 'congestion-aware' && network.topology[0] === 'Ring' && network.npus_count[0] === 2;
  return ringOfTwo || simulation.eventAtZero || simulation.unfinished().length > 0;
}
