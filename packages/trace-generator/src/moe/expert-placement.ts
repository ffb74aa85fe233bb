/**
 * Which rank holds which expert, with replicas: the global policy of DeepSeek's EPLB
 * (github.com/deepseek-ai/EPLB), which vLLM's rebalance_algo.py takes over. Logical experts are the
 * model's; every rank has equally many slots for physical ones.
 */

export interface Placement {
  /** Logical expert of every slot, rank by rank. */
  readonly experts: Int32Array;
  /** Slots of every logical expert, one or more. */
  readonly replicas: Int32Array;
}

/** Before anything was measured: linear, the redundant slots at the end in turn (as vLLM's). */
export function linearPlacement(numExperts: number, redundant: number): Placement {
  const experts = Int32Array.from(
    { length: numExperts + redundant },
    (_, slot) => slot % numExperts,
  );
  const replicas = new Int32Array(numExperts);
  for (const expert of experts) replicas[expert]++;
  return { experts, replicas };
}

/**
 * Replicas go one by one to the expert with the highest load per replica. The heaviest physical expert
 * goes first, each onto the least loaded rank with a free slot. Of equals the first. Greedy: a
 * placement that happened to be even can come out worse.
 * @param loads of every logical expert
 * @param ranks divide logical and redundant experts together
 */
export function balancedPlacement(
  loads: ArrayLike<number>,
  redundant: number,
  ranks: number,
): Placement {
  const { experts: physical, replicas } = replicate(loads, redundant);
  const perReplica = (expert: number): number => loads[expert] / replicas[expert];
  const local = physical.length / ranks;
  const experts = new Int32Array(physical.length);
  const rankLoads = new Float64Array(ranks);
  const held = new Int32Array(ranks);
  for (const expert of physical.sort((a, b) => perReplica(b) - perReplica(a))) {
    let least = -1;
    for (let rank = 0; rank < ranks; rank++) {
      if (held[rank] === local) continue;
      if (least < 0 || rankLoads[rank] < rankLoads[least]) least = rank;
    }
    experts[least * local + held[least]++] = expert;
    rankLoads[least] += perReplica(expert);
  }
  return { experts, replicas };
}

function replicate(
  loads: ArrayLike<number>,
  redundant: number,
): { experts: number[]; replicas: Int32Array } {
  const replicas = new Int32Array(loads.length).fill(1);
  const experts = Array.from({ length: loads.length }, (_, expert) => expert);
  for (let i = 0; i < redundant; i++) {
    let hottest = 0;
    for (let expert = 1; expert < loads.length; expert++) {
      const hotter = loads[expert] / replicas[expert] > loads[hottest] / replicas[hottest];
      if (hotter) hottest = expert;
    }
    replicas[hottest]++;
    experts.push(hottest);
  }
  return { experts, replicas };
}

/**
 * Experts that the busiest rank sends or receives when one placement becomes another. A rank fetches
 * an expert once, and only if no slot of its own held it; those that need one expert are divided over
 * the ranks that hold it (vLLM's rebalance_execute.py).
 */
export function busiestMove(from: Placement, to: Placement, ranks: number): number {
  const before = holders(from, ranks);
  const after = holders(to, ranks);
  const sent = new Int32Array(ranks);
  const received = new Int32Array(ranks);
  before.forEach((sources, expert) => {
    const targets = [...after[expert]].filter((rank) => !sources.has(rank));
    const senders = [...sources];
    targets.forEach((rank, i) => {
      received[rank]++;
      sent[senders[i % senders.length]]++;
    });
  });
  return Math.max(...sent, ...received);
}

/** Ranks of every logical expert, ascending. */
function holders({ experts, replicas }: Placement, ranks: number): Set<number>[] {
  const local = experts.length / ranks;
  const sets = Array.from(replicas, () => new Set<number>());
  experts.forEach((expert, slot) => {
    sets[expert].add(Math.floor(slot / local));
  });
  return sets;
}
