/**
 * ASTRA-sim's network file (YAML): one entry per dimension, innermost first. Bandwidth GB/s of 2^30
 * bytes per link and direction, latency ns per hop. Strict by default; `compat` reads what ASTRA-sim
 * reads and refuses what it refuses, in its words.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { parse } from 'yaml';
import { z } from 'zod';

const list = <T extends z.ZodType>(item: T) => z.array(item).min(1);

/** Shapes of ASTRA-sim. */
const astraTopologies = ['Ring', 'FullyConnected', 'Switch'] as const;
/** Ours beside them: a line, and a ring by its other name. */
const extraTopologies = ['Mesh', 'Torus'] as const;

const linkOverrideSchema = z
  .strictObject({
    from: z.number().int().nonnegative().optional().describe('NPU at the beginning of one link'),
    to: z.number().int().nonnegative().optional().describe('NPU at its end'),
    npu: z.number().int().nonnegative().optional().describe('all links out of and into this NPU'),
    dim: z.number().int().nonnegative().optional().describe('of this dimension only'),
    bandwidth: z.number().positive().optional().describe('GB/s (2^30)'),
    latency: z.number().nonnegative().optional().describe('ns'),
  })
  .refine(
    ({ from, to, npu }) =>
      npu === undefined
        ? from !== undefined && to !== undefined
        : from === undefined && to === undefined,
    'give either npu, or from and to',
  );

const astraNetworkSchema = z
  .strictObject({
    topology: list(z.enum([...astraTopologies, ...extraTopologies])),
    npus_count: list(z.number().int().positive()),
    bandwidth: list(z.number().positive()).describe('GB/s (2^30) per link and direction'),
    latency: list(z.number().nonnegative()).describe('ns per hop'),
    links: z
      .array(linkOverrideSchema)
      .optional()
      .describe('ours: links that differ from their dimension, later entries win'),
  })
  .describe('ASTRA-sim network file');

const compatNetworkSchema = z.looseObject({
  topology: list(z.string()),
  npus_count: list(z.number()),
  bandwidth: list(z.number()),
  latency: list(z.number()),
});

export type AstraNetwork = z.infer<typeof astraNetworkSchema>;
export type ReadMode = 'default' | 'compat';

/** @throws UserError with file and path */
export function parseAstraNetwork(text: string, at: string, mode: ReadMode): AstraNetwork {
  return checkAstraNetwork(parseYaml(text, at), at, mode);
}

/** @throws UserError naming file, line and column */
export function parseYaml(text: string, at: string): unknown {
  try {
    // Warnings would go to stderr beside our own line.
    return parse(text, { logLevel: 'error' });
  } catch (error) {
    throw new UserError(`not valid YAML: ${(error as Error).message.split('\n')[0]}`, { at });
  }
}

/** As `parseAstraNetwork`, from the parsed document. */
export function checkAstraNetwork(value: unknown, at: string, mode: ReadMode): AstraNetwork {
  if (mode === 'compat') return compatNetwork(parseWith(compatNetworkSchema, value, at), at);
  const network = parseWith(astraNetworkSchema, value, at);
  checkLengths(network, at);
  return network;
}

function compatNetwork(network: z.infer<typeof compatNetworkSchema>, at: string): AstraNetwork {
  const fail = (message: string): never => {
    throw new UserError(`[Error] (network/analytical) ${message}`, { at });
  };
  for (const name of network.topology) {
    if (!(astraTopologies as readonly string[]).includes(name)) {
      fail(`Topology name ${name} not supported`);
    }
  }
  checkLengths(network as AstraNetwork, at);
  for (const count of network.npus_count) {
    if (count <= 1) fail(`npus_count (${count}) should be larger than 1`);
  }
  for (const bandwidth of network.bandwidth) {
    if (bandwidth <= 0) fail(`bandwidth (${bandwidth}) should be larger than 0`);
  }
  for (const latency of network.latency) {
    if (latency < 0) fail(`latency (${latency}) should be non-negative`);
  }
  const { topology, npus_count, bandwidth, latency } = network as AstraNetwork;
  return { topology, npus_count, bandwidth, latency };
}

function checkLengths(network: AstraNetwork, at: string): void {
  const dims = network.topology.length;
  for (const key of ['npus_count', 'bandwidth', 'latency'] as const) {
    if (network[key].length === dims) continue;
    throw new UserError(`${network[key].length} entries, but topology has ${dims}`, {
      at: `${at}: ${key}`,
    });
  }
}
