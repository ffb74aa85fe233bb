/**
 * Symmetric runs on one NPU: where every NPU runs the same program, and every message that goes to
 * the k-th next NPU has a twin that comes from the k-th previous one, NPU 0 sends to itself and stands
 * for all. Equal to the expanded run by test.
 */
import type { AstraSystem } from '@astrolabe/config';
import type { CollectiveKind, Phase, PhaseSpec } from '../collectives/phase.js';
import { memberAt } from '../collectives/phase.js';
import type { Network } from '../core.js';
import { Op, type Program, rowOf } from '../feeder/program.js';
import { AwareNetwork, type LinkMap } from '../network/aware.js';
import { bytesPerNs } from '../network/topology.js';
import { parseAstraImplementation } from './chunks.js';
import type { AstraInputs } from './inputs.js';
import { Planner } from './planner.js';

/** Whether the program, run by all NPUs, may be run by one. */
export function canFold(inputs: AstraInputs, program: Program): boolean {
  const { graphs, system, memory, backend, network } = inputs;
  if (inputs.rendezvous || system.perNodeCustom !== undefined) return false;
  // Packets contend for the bus: who is first in an instant differs between NPUs.
  if (system.sharedBus !== undefined) return false;
  if (backend === 'congestion-aware') {
    // One chunk at a time: chunks of one instant may take a link in another order elsewhere.
    if (network.topology.length > 1 || inputs.queuesPerDim > 1) return false;
    if (system.activeChunks > 1) return false;
  }
  if (network.links !== undefined || inputs.slowdown !== undefined) return false;
  if (graphs.some((graph) => graph !== graphs[0])) return false;
  const { graph, op, nodeCount } = program;
  const allowed = new Map<number, boolean>();
  for (let node = 0; node < nodeCount; node++) {
    switch (op[node]) {
      case Op.compute:
      case Op.skip:
      case Op.delay:
        break;
      case Op.memory:
        if (memory?.type !== 'PER_NPU_MEMORY_EXPANSION') return false;
        break;
      case Op.collective: {
        const row = rowOf(program, node);
        const group = graph.strings[graph.pgName[row]];
        if (graph.extra.has(row) || (group !== '' && group !== '0')) return false;
        const kind = graph.commType[row];
        let known = allowed.get(kind);
        if (known === undefined) {
          known = isSymmetric(inputs, system, kind as CollectiveKind);
          allowed.set(kind, known);
        }
        if (!known) return false;
        break;
      }
      default:
        return false;
    }
  }
  return true;
}

function isSymmetric(inputs: AstraInputs, system: AstraSystem, kind: CollectiveKind): boolean {
  const name = Planner.nameOf(kind);
  const list = system.implementations[name];
  if (list === undefined || system.custom[name] !== undefined) return false;
  const aware = inputs.backend === 'congestion-aware';
  const [shape] = inputs.network.topology;
  const counts = inputs.network.npus_count;
  return list.map(parseAstraImplementation).every(({ algorithm, whole }, dim) => {
    // Partners exchange only among a power of two.
    if (algorithm === 'halvingDoubling' && Math.log2(counts[dim]) % 1 !== 0) return false;
    if (algorithm === 'doubleBinaryTree') return false;
    // One ring over several dimensions crosses them unevenly.
    if (whole && inputs.network.topology.length > 1) return false;
    // Longer ways on a ring of links cross each other.
    if (aware && shape === 'Ring') return algorithm === 'ring';
    return true;
  });
}

/** Sender, as NPU 0 sees it, of the message that is the twin of NPU 0's to `to`. */
export function mirror(phase: Phase, to: number): number {
  const { algorithm, members } = phase.spec as PhaseSpec;
  // Partners exchange: the twin comes from where the message goes.
  if (algorithm === 'halvingDoubling') return to;
  const distance = (to - members.base) / members.stride;
  return memberAt(members, (members.count - distance) % members.count);
}

/** NPU 0's own links; a message to it from the k-th previous NPU stands for its own to the k-th next. */
export function foldedAwareNetwork(inputs: AstraInputs): Network {
  const { network } = inputs;
  const n = network.npus_count[0];
  const [shape] = network.topology;
  const links = shape === 'FullyConnected' ? n : 2;
  const cutThrough = new Uint8Array(links);
  if (shape === 'Switch' && inputs.repairs.cutThroughSwitch) cutThrough[1] = 1;
  const toSwitch = n;
  const map: LinkMap = {
    count: links,
    latencyNs: new Float64Array(links).fill(network.latency[0]),
    bytesPerNs: new Float64Array(links).fill(bytesPerNs(network.bandwidth[0])),
    cutThrough,
    next(device, src) {
      if (shape === 'FullyConnected') return src;
      if (shape === 'Switch') return device === toSwitch ? 1 : 0;
      return src === n - 1 ? 0 : 1;
    },
    target: (link, _src, dst) => (shape === 'Switch' && link === 0 ? toSwitch : dst),
    ends: (link) => [0, 0, shape === 'FullyConnected' ? link : -1],
  };
  return new AwareNetwork(map);
}
