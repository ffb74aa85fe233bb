/** Small clusters of every kind, with a workload each: the same runs go through every carrier. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './commands.js';

export interface Scenario {
  readonly name: string;
  readonly cluster: unknown;
  readonly requests: number;
  /** Other files beside the cluster's, by name. */
  readonly files?: Readonly<Record<string, unknown>>;
}

const memory = { mem_size: 96, mem_bw: 1597, mem_latency: 0 };
const host = { mem_size: 512, mem_bw: 256, mem_latency: 0 };

function instance(more: Record<string, unknown>): unknown {
  return {
    model_name: 'meta-llama/Llama-3.1-8B',
    hardware: 'RTXPRO6000',
    npu_mem: memory,
    pd_type: null,
    ...more,
  };
}

function cluster(...instances: readonly unknown[]): object {
  return {
    num_nodes: 1,
    link_bw: 16,
    link_latency: 20000,
    nodes: [{ num_instances: instances.length, cpu_mem: host, instances }],
  };
}

const moe = { model_name: 'Qwen/Qwen3-30B-A3B-Instruct-2507' };

export const scenarios: readonly Scenario[] = [
  { name: 'single', cluster: cluster(instance({ tp_size: 1 })), requests: 12 },
  {
    name: 'TP',
    cluster: cluster(instance({ model_name: 'Qwen/Qwen3-32B', tp_size: 2 })),
    requests: 6,
  },
  {
    name: 'two instances',
    cluster: cluster(instance({ name: 'a', tp_size: 1 }), instance({ name: 'b', tp_size: 1 })),
    requests: 12,
  },
  {
    name: 'TP x PP with measured links',
    cluster: {
      ...cluster(instance({ tp_size: 2, pp_size: 2 })),
      measured_links: [{ file: 'links/pairs.json' }],
    },
    files: {
      'links/pairs.json': {
        source: 'test',
        curves: ['all_reduce', 'send_recv'].map((collective) => ({
          collective,
          participants: 2,
          size_bytes: [8192, 65_536, 1_048_576],
          duration_ns: [9000, 11_000, 40_000],
        })),
      },
    },
    requests: 8,
  },
  { name: 'PP', cluster: cluster(instance({ tp_size: 1, pp_size: 2 })), requests: 8 },
  {
    name: 'P/D',
    cluster: cluster(
      instance({ name: 'p', tp_size: 1, pd_type: 'prefill' }),
      instance({ name: 'd', tp_size: 1, pd_type: 'decode' }),
    ),
    requests: 8,
  },
  {
    name: 'MoE DP+EP',
    cluster: cluster(
      instance({ ...moe, name: 'r0', tp_size: 1, dp_group: 'g', ep_size: 2 }),
      instance({ ...moe, name: 'r1', tp_size: 1, dp_group: 'g', ep_size: 2 }),
    ),
    requests: 6,
  },
  {
    name: 'P/D over two nodes, layer by layer, on links that are shared',
    cluster: JSON.parse(readFileSync(join(root, 'cluster_config/pd-two-nodes.json'), 'utf8')),
    requests: 8,
  },
];

/** Writes the cluster and its workload. @returns the flags that name them */
export function writeScenario(folder: string, scenario: Scenario): string[] {
  const clusterFile = join(folder, 'cluster.json');
  const workloadFile = join(folder, 'workload.ndjson');
  writeFileSync(clusterFile, JSON.stringify(scenario.cluster));
  for (const [name, value] of Object.entries(scenario.files ?? {})) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), JSON.stringify(value));
  }
  const lines = Array.from({ length: scenario.requests }, (_, i) =>
    JSON.stringify({
      id: `r${i}`,
      arrivalNs: i * 37_000_000,
      promptTokens: 40 + ((i * 97) % 700),
      outputTokens: 3 + ((i * 5) % 9),
    }),
  );
  writeFileSync(workloadFile, `${lines.join('\n')}\n`);
  return ['--cluster-config', clusterFile, '--workload', workloadFile];
}
