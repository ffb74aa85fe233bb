/**
 * What a step's operators draw, from profiles whose operators were measured with their power: the mean
 * over the step's operators, weighted by their time. An operator without one draws the active power of
 * the node's constants. Steps are lowered as the run lowers them, once with times and once with energies
 * (time x power) in their place; both leave host terms out.
 */
import { type GraphSet, NodeType } from '@astrolabe/chakra';
import { type Cluster, type Instance, npuHardware } from '@astrolabe/config';
import { type LatencyModel, withTimes } from '@astrolabe/profile';
import {
  createTraceGenerator,
  type Iteration,
  type TraceGenerator,
  type TraceGeneratorOptions,
} from '@astrolabe/trace-generator';

export interface StepPower {
  /** Hardware whose operators' power was measured. */
  readonly measured: readonly string[];
  /** Mean W of the operators of a step by NPU; none where an NPU computes nothing. */
  watts(iteration: Iteration): ReadonlyMap<number, number>;
}

type Options = Pick<
  TraceGeneratorOptions,
  'cluster' | 'latencyModelFor' | 'terms' | 'experts' | 'expertRouterFor'
>;

/** @returns undefined unless a node is metered and a profile in use has powers */
export function createStepPower(options: Options): StepPower | undefined {
  const { cluster } = options;
  const metered = cluster.instances.filter(({ node }) => cluster.nodes[node].power !== undefined);
  const measured = new Set<string>();
  for (const instance of metered) {
    for (const hardware of new Set(npuHardware(instance))) {
      const { power } = options.latencyModelFor({ ...instance, hardware });
      if (power !== undefined) measured.add(hardware);
    }
  }
  if (measured.size === 0) return undefined;
  // Times at full clock: a cap bounds what is drawn, not what of it an operator draws.
  const uncapped: Cluster = { ...cluster, nodes: cluster.nodes.map(withoutPower) };
  const common = {
    ...options,
    cluster: uncapped,
    terms: { ...options.terms, stepOverhead: false, warmUp: false },
  };
  const times = createTraceGenerator({
    ...common,
    latencyModelFor: (instance) => withoutIsolation(options.latencyModelFor(instance)),
  });
  const energies = createTraceGenerator({
    ...common,
    latencyModelFor: (instance) =>
      energyOf(options.latencyModelFor(instance), activeW(cluster, instance)),
  });
  return {
    measured: [...measured].sort(),
    watts: (iteration) => ratio(times, energies, iteration),
  };
}

function withoutPower(node: Cluster['nodes'][number]): Cluster['nodes'][number] {
  return { ...node, power: undefined };
}

/** What engines do otherwise than isolated operators is of times alone. */
function withoutIsolation(model: LatencyModel): LatencyModel {
  return { ...withTimes(model, {}), isolated: undefined };
}

/** Active power of the instance's devices, W; whatever it is where nothing is metered. */
function activeW(cluster: Cluster, { node, hardware }: Instance): number {
  return cluster.nodes[node].power?.npu[hardware]?.active_power ?? 0;
}

/** The same model with nJ in place of ns. */
function energyOf(base: LatencyModel, otherW: number): LatencyModel {
  const { power } = base;
  return withTimes(withoutIsolation(base), {
    denseNs: (operator, tp, tokens) =>
      base.denseNs(operator, tp, tokens) * (power?.denseW(operator, tp, tokens) ?? otherW),
    perSequenceNs: (operator, tp, sequences) =>
      base.perSequenceNs(operator, tp, sequences) *
      (power?.perSequenceW(operator, tp, sequences) ?? otherW),
    attentionNs: (tp, batch) =>
      base.attentionNs(tp, batch) * (power?.attentionW(tp, batch) ?? otherW),
    moeNs: (tp, tokens, activatedExperts) =>
      base.moeNs(tp, tokens, activatedExperts) *
      (power?.moeW(tp, tokens, activatedExperts) ?? otherW),
  });
}

function ratio(
  times: TraceGenerator,
  energies: TraceGenerator,
  iteration: Iteration,
): ReadonlyMap<number, number> {
  const step = { ...iteration, warmUpNs: undefined, draftNs: undefined };
  const timeNs = sumByNpu(times.generate(step));
  const watts = new Map<number, number>();
  for (const [npu, energyNj] of sumByNpu(energies.generate(step))) {
    const operatorsNs = timeNs.get(npu) ?? 0;
    if (operatorsNs > 0) watts.set(npu, energyNj / operatorsNs);
  }
  return watts;
}

/** Durations of all compute nodes of each NPU's program. */
function sumByNpu({ programs }: GraphSet): Map<number, number> {
  const sums = new Map<number, number>();
  for (const { npus, graph } of programs) {
    let sum = 0;
    for (let node = 0; node < graph.nodeCount; node++) {
      if (graph.type[node] === NodeType.comp) sum += graph.durationNs[node];
    }
    for (const npu of npus) sums.set(npu, sum);
  }
  return sums;
}
