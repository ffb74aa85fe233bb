/** Reads what ASTRA-sim's own command line names. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { parseWith, UserError } from '@astrolabe/base';
import { readJson, readText } from '@astrolabe/base/cli';
import {
  type Dialect,
  decodeGraph,
  type ExecutionGraph,
  graphFileName,
  withGroups,
} from '@astrolabe/chakra';
import { expandOperand, readGraphFile } from '@astrolabe/chakra/cli';
import {
  parseAstraGroups,
  parseAstraMemory,
  parseAstraNetwork,
  parseAstraSystem,
  parseYaml,
  type ReadMode,
} from '@astrolabe/config';
import { z } from 'zod';
import type { AstraBackend, AstraInputs } from '../astra/inputs.js';
import type { Repairs } from '../astra/repairs.js';

export interface AstraFiles {
  readonly workload: string;
  readonly system: string;
  readonly network: string;
  readonly remoteMemory: string;
  /** A path with `empty` in it means none. */
  readonly groups: string;
  readonly backend: AstraBackend;
  readonly mode: ReadMode;
  readonly dialect: Dialect;
  readonly queuesPerDim: number;
  readonly injectionScale: number;
  readonly rendezvous: boolean;
  readonly repairs: Repairs;
}

/** @throws UserError naming file and place */
export function readAstraInputs(files: AstraFiles): AstraInputs {
  const { mode } = files;
  const networkText = readText(files.network);
  const network = parseAstraNetwork(networkText, files.network, mode);
  if (mode === 'compat' && /^links\s*:/m.test(networkText)) {
    const note = 'links are ours, and are not read without --compat off';
    process.stderr.write(`system-simulator: ${files.network}: ${note}\n`);
  }
  const numNpus = network.npus_count.reduce((product, n) => product * n, 1);
  const groups = files.groups.includes('empty') ? {} : readJson(files.groups);
  const system = parseAstraSystem(readJson(files.system), files.system, mode);
  const graphs = readGraphs(files, numNpus);
  return {
    backend: files.backend,
    network,
    system,
    memory: parseAstraMemory(
      readJson(files.remoteMemory),
      files.remoteMemory,
      mode,
      files.repairs.exactMemory,
    ),
    ...resolveGroups(graphs, parseAstraGroups(groups, files.groups)),
    queuesPerDim: files.queuesPerDim,
    injectionScale: files.injectionScale,
    rendezvous: files.rendezvous,
    repairs: files.repairs,
    graphName: (npu) => graphFileName(files.workload, npu),
    customGraph: customGraphs(files, mode),
    ...(system.perNodeCustom === undefined
      ? {}
      : { perNodeCustom: readPerNode(system.perNodeCustom) }),
  };
}

/**
 * NPUs whose files hold the same bytes share one graph. Where there is no file for NPU 0 but one of
 * the bare prefix, that one is everybody's (ASTRA-sim wants a copy each).
 */
function readGraphs({ workload, dialect, mode }: AstraFiles, numNpus: number): ExecutionGraph[] {
  const options = { dialect, ignoreDurationNs: mode === 'compat' };
  const common = `${workload}.et`;
  if (!existsSync(graphFileName(workload, 0)) && existsSync(common)) {
    const graph = decodeGraph(readGraphFile(common), { ...options, at: common });
    return new Array<ExecutionGraph>(numNpus).fill(graph);
  }
  checkTraceCount(workload, numNpus, mode);
  const known = new Map<string, ExecutionGraph>();
  return Array.from({ length: numNpus }, (_, npu) => {
    const path = graphFileName(workload, npu);
    const bytes = readGraphFile(path);
    const key = createHash('sha1').update(bytes).digest('hex');
    let graph = known.get(key);
    if (graph === undefined) {
      graph = decodeGraph(bytes, { ...options, at: path });
      known.set(key, graph);
    }
    return graph;
  });
}

/**
 * As many traces as the network has NPUs. ASTRA-sim leaves those beyond unread, which is hardly ever
 * meant: collectives of everybody then have fewer members.
 */
function checkTraceCount(workload: string, numNpus: number, mode: ReadMode): void {
  const traces = existsSync(graphFileName(workload, 0)) ? expandOperand(workload).length : 0;
  const has = `the network has ${numNpus} NPUs`;
  const missing = Array.from({ length: numNpus }, (_, npu) => graphFileName(workload, npu)).find(
    (path) => !existsSync(path),
  );
  if (missing !== undefined) {
    const found = traces === 0 ? 'no traces of that prefix' : `${traces} traces`;
    throw new UserError('no such file', { at: missing, hint: `${has}; there are ${found}` });
  }
  if (traces <= numNpus) return;
  const message = `there are ${traces} traces, but ${has}`;
  if (mode === 'default') throw new UserError(message, { at: workload });
  process.stderr.write(`system-simulator: ${workload}: ${message}: those beyond are not read\n`);
}

/**
 * Groups of the file and those that the traces define; of one name the file's counts. Names that are
 * no numbers (PyTorch hashes the ranks of some) get free ones.
 */
function resolveGroups(
  graphs: readonly ExecutionGraph[],
  given: ReadonlyMap<number, readonly number[]>,
): Pick<AstraInputs, 'graphs' | 'groups' | 'groupNumbers'> {
  const npusOf = new Map<ExecutionGraph, number[]>();
  graphs.forEach((graph, npu) => {
    npusOf.set(graph, [...(npusOf.get(graph) ?? []), npu]);
  });
  const programs = [...npusOf].map(([graph, npus]) => ({ graph, npus }));
  const stated = Object.fromEntries([...given].map(([id, members]) => [String(id), members]));
  const own = withGroups(programs, stated);
  const groups = new Map(given);
  const groupNumbers = new Map<string, number>();
  const named = Object.entries(own.groups).filter(([name]) => name !== '' && name !== '0');
  for (const [name, members] of named.filter(([name]) => isNumber(name))) {
    groups.set(Number(name), members);
  }
  let free = 1;
  for (const [name, members] of named.filter(([name]) => !isNumber(name))) {
    while (groups.has(free)) free++;
    groups.set(free, members);
    groupNumbers.set(name, free);
  }
  const renamed = new Map(own.programs.map(({ graph }, i) => [programs[i].graph, graph]));
  return { graphs: graphs.map((graph) => renamed.get(graph) ?? graph), groups, groupNumbers };
}

const isNumber = (name: string): boolean => /^[1-9]\d{0,8}$/.test(name);

function customGraphs(
  { dialect }: AstraFiles,
  mode: ReadMode,
): (prefix: string, rank: number) => ExecutionGraph {
  const known = new Map<string, ExecutionGraph>();
  return (prefix, rank) => {
    const path = graphFileName(prefix, rank);
    let graph = known.get(path);
    if (graph === undefined) {
      graph = decodeGraph(readGraphFile(path), {
        at: path,
        dialect,
        ignoreDurationNs: mode === 'compat',
      });
      known.set(path, graph);
    }
    return graph;
  };
}

function readPerNode(path: string): Map<number, string> {
  const schema = z.record(z.string().regex(/^\d+$/, 'expected a node id'), z.string());
  const value = parseWith(schema, parseYaml(readText(path), path), path);
  return new Map(Object.entries(value).map(([id, prefix]) => [Number(id), prefix]));
}

export function nonNegative(name: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new UserError(`expected a number >= 0, got "${text}"`, { at: `--${name}` });
}
