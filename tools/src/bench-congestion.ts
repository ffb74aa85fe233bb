/**
 * What a congestion-aware network costs beside an unaware one, on the machine alone: iterations of
 * 32 layers, each a few operators and two all-reduces, on instances side by side in one domain. User
 * CPU time, the best of some rounds; completions and counters as a hash, so that a change of the
 * machine shows whether it changed a result. By hand, after a build: `node tools/dist/bench-congestion.js`.
 */
import { createHash } from 'node:crypto';
import { type ExecutionGraph, GraphBuilder, type GraphSet, NodeType } from '@astrolabe/chakra';
import { createMachine, type MachineSpec, ringCollectives } from '@astrolabe/system-simulator';

const rounds = 5;
const layers = 32;
const allReduce = 0;

interface Case {
  readonly tp: number;
  readonly instances: number;
  readonly iterations: number;
  readonly allToAll?: boolean;
}

const cases: readonly Case[] = [
  { tp: 2, instances: 4, iterations: 400 },
  { tp: 4, instances: 2, iterations: 300 },
  { tp: 8, instances: 1, iterations: 200 },
  { tp: 8, instances: 1, iterations: 200, allToAll: true },
];

function machineSpec(numNpus: number, congestion: 'aware' | 'unaware'): MachineSpec {
  return {
    numNpus,
    network: {
      congestion,
      levels: [{ domain: new Array<number>(numNpus).fill(0), bandwidthGBps: 200, latencyNs: 700 }],
    },
    collectives: ringCollectives,
    splits: 1,
    activeChunks: 1,
    endpointDelayNs: 10,
    localMemoryBandwidthGBps: 1597,
    memory: {},
  };
}

function graphOf(allToAll: boolean): ExecutionGraph {
  const builder = new GraphBuilder();
  const chained = (node: number): void => {
    if (node > 0) builder.addDep(node, node - 1);
  };
  for (let layer = 0; layer < layers; layer++) {
    for (const durations of [
      [4000, 12_000, 9000],
      [3000, 25_000],
    ]) {
      for (const durationNs of durations) {
        const node = builder.addNode(NodeType.comp, 'operator');
        builder.setDuration(node, durationNs + layer);
        chained(node);
      }
      const node = builder.addNode(NodeType.commColl, 'collective');
      builder.setCollective(node, allToAll ? 6 : allReduce, 65_536 + 8192 * layer);
      builder.setGroup(node, 'tp');
      chained(node);
    }
  }
  return builder.finish();
}

function run(
  { tp, instances, iterations, allToAll }: Case,
  congestion: 'aware' | 'unaware',
): Result {
  const machine = createMachine(machineSpec(tp * instances, congestion));
  const graph = graphOf(allToAll ?? false);
  const setOf = (instance: number, iteration: number): GraphSet => {
    const npus = Array.from({ length: tp }, (_, i) => instance * tp + i);
    const releaseNs = machine.nowNs;
    return {
      instance,
      iteration,
      releaseNs,
      lane: 0,
      groups: { tp: npus },
      programs: [{ npus, graph }],
    };
  };
  const hash = createHash('sha256');
  const started = process.cpuUsage().user;
  for (let instance = 0; instance < instances; instance++) machine.submit(setOf(instance, 0));
  for (;;) {
    const done = machine.runUntil(Number.MAX_SAFE_INTEGER);
    if (done === undefined) break;
    hash.update(`${done.instance} ${done.iteration} ${done.startNs} ${done.finishNs}\n`);
    if (done.iteration + 1 < iterations) machine.submit(setOf(done.instance, done.iteration + 1));
  }
  const userMs = (process.cpuUsage().user - started) / 1000;
  hash.update(JSON.stringify(machine.counters()));
  return { userMs, digest: hash.digest('hex').slice(0, 16), nodes: graph.nodeCount };
}

interface Result {
  readonly userMs: number;
  readonly digest: string;
  readonly nodes: number;
}

process.stdout.write(
  'case                  unaware ms  aware ms  ratio  aware us/collective+NPU  hash\n',
);
for (const one of cases) {
  const best = (congestion: 'aware' | 'unaware'): Result =>
    Array.from({ length: rounds }, () => run(one, congestion)).reduce((a, b) =>
      b.userMs < a.userMs ? b : a,
    );
  const [unaware, aware] = [best('unaware'), best('aware')];
  const { tp, instances, iterations, allToAll } = one;
  const collectives = iterations * instances * tp * layers * 2;
  process.stdout.write(
    `${`tp ${tp} x ${instances}${allToAll ? ' all-to-all' : ''}`.padEnd(20)} ` +
      `${unaware.userMs.toFixed(0).padStart(11)} ${aware.userMs.toFixed(0).padStart(9)} ` +
      `${(aware.userMs / unaware.userMs).toFixed(1).padStart(6)} ` +
      `${((aware.userMs * 1000) / collectives).toFixed(2).padStart(24)}  ${aware.digest}\n`,
  );
}
