/**
 * One run in the way asked for. Where stock ASTRA-sim dies or waits for ever because of its own
 * defects, the answer is that of a build with them repaired, which also issues the successors of
 * nodes that take no time at once: so such a run is made again with that repair.
 */
import type { MessageListener } from '../core.js';
import type { NodeListener } from '../feeder/feeder.js';
import { compileProgram, Op, type Program } from '../feeder/program.js';
import { canClose, NotClosed } from './closed-ring.js';
import { canFold } from './fold.js';
import { type AstraInputs, nodeRules } from './inputs.js';
import { AstraSimulation, type Way } from './simulation.js';

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
  if (repairs.chunkOrder && simulation.unfinished().length > 0) {
    const agreed = runPlain(inputs, listeners(), 'agreed');
    // If that does not help, the order was not the reason.
    return agreed.unfinished().length === 0 ? agreed : attempt(inputs, listeners(), fast);
  }
  if (repairs.wakeAfterSkip || !simulation.hasSkips || !stockFails(simulation, inputs)) {
    return simulation;
  }
  return attempt({ ...inputs, repairs: { ...repairs, wakeAfterSkip: true } }, listeners(), fast);
}

/**
 * `auto` shortens large runs only: a small one costs nothing, and expanded it prints its lines and
 * messages in ASTRA-sim's own order.
 */
export type FastPaths = 'auto' | 'always' | 'never';

/** Messages from which on a run counts as large. */
const largeMessages = 20_000;

function attempt(inputs: AstraInputs, listeners: AstraListeners, fast: FastPaths): AstraSimulation {
  const observed =
    listeners.onNode !== undefined ||
    listeners.onMessage !== undefined ||
    inputs.system.trackLocalMemory;
  if (fast !== 'never' && !observed) {
    const done = tryFast(inputs, fast);
    if (done !== undefined) return done;
  }
  return runPlain(inputs, listeners, 'plain');
}

function runPlain(inputs: AstraInputs, listeners: AstraListeners, way: Way): AstraSimulation {
  const simulation = new AstraSimulation(inputs, way);
  if (listeners.onNode !== undefined) simulation.onNode = listeners.onNode;
  if (listeners.onMessage !== undefined) simulation.onMessage = listeners.onMessage;
  simulation.run();
  return simulation;
}

/** What cannot end is left to the plain way, which can tell who waits for what. */
function tryFast(inputs: AstraInputs, fast: FastPaths): AstraSimulation | undefined {
  const distinct = [...new Set(inputs.graphs)];
  const programs = distinct.map((graph) =>
    compileProgram(graph, nodeRules(inputs), inputs.graphName(inputs.graphs.indexOf(graph))),
  );
  if (fast === 'auto' && !isLarge(inputs, programs)) return undefined;
  let way: Way;
  if (programs.length === 1 && canFold(inputs, programs[0])) way = 'folded';
  else if (canClose(inputs, programs)) way = 'closed';
  else return undefined;
  const simulation = new AstraSimulation(inputs, way);
  try {
    simulation.run();
  } catch (error) {
    if (error instanceof NotClosed) return undefined;
    throw error;
  }
  return simulation.unfinished().length === 0 ? simulation : undefined;
}

function isLarge(inputs: AstraInputs, programs: readonly Program[]): boolean {
  const numNpus = inputs.graphs.length;
  let nodes = 0;
  let collectives = 0;
  for (const program of programs) {
    nodes = Math.max(nodes, program.nodeCount);
    const own = program.op.reduce((sum, op) => sum + (op === Op.collective ? 1 : 0), 0);
    collectives = Math.max(collectives, own);
  }
  const messages = collectives * inputs.system.splits * 2 * (numNpus - 1) * numNpus;
  return messages > largeMessages || nodes * numNpus > 2 * largeMessages;
}

/** An event at time 0, a ring of two with congestion, an NPU that never finishes. */
function stockFails(simulation: AstraSimulation, { backend, network }: AstraInputs): boolean {
  const ringOfTwo =
    backend === 'congestion-aware' && network.topology[0] === 'Ring' && network.npus_count[0] === 2;
  return ringOfTwo || simulation.eventAtZero || simulation.unfinished().length > 0;
}
