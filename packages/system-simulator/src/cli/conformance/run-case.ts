/** Runs one golden case in compat mode and judges it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { readBytes } from '@astrolabe/base/cli';
import { decodeGraph, type ExecutionGraph } from '@astrolabe/chakra';
import {
  checkAstraNetwork,
  parseAstraGroups,
  parseAstraMemory,
  parseAstraSystem,
} from '@astrolabe/config';
import { type Figures, figuresOf } from '../../astra/figures.js';
import type { AstraInputs } from '../../astra/inputs.js';
import { allRepairs } from '../../astra/repairs.js';
import { type FastPaths, runAstra } from '../../astra/run.js';
import type { AstraSimulation } from '../../astra/simulation.js';
import { describeUnfinished } from '../../astra/unfinished.js';
import { decodeList, encodeList, type GoldenCase } from './golden-case.js';

interface CaseAnswer {
  /** Per NPU; empty if refused before the run. */
  readonly figures: readonly Figures[];
  /** Why not all NPUs finished; undefined when they did. */
  readonly refusal: string | undefined;
}

/** Where a case's graphs come from, by file name. */
export interface GraphSource {
  load(name: string): ExecutionGraph;
}

/** Graphs by path, so that cases share them. */
export class GraphFolder implements GraphSource {
  private readonly folder: string;
  private readonly known = new Map<string, ExecutionGraph>();

  constructor(folder: string) {
    this.folder = folder;
  }

  load(name: string): ExecutionGraph {
    const path = join(this.folder, name);
    let graph = this.known.get(name);
    if (graph === undefined) {
      if (!existsSync(path)) throw new UserError('no such file', { at: path });
      graph = decodeGraph(readBytes(path), { at: path, ignoreDurationNs: true });
      if (this.known.size > 200) this.known.clear();
      this.known.set(name, graph);
    }
    return graph;
  }
}

export function caseInputs(golden: GoldenCase, folder: GraphSource): AstraInputs {
  const at = golden.id;
  const network = checkAstraNetwork(golden.network, `${at}: network`, 'compat');
  const numNpus = network.npus_count.reduce((product, n) => product * n, 1);
  const flags = new Map<string, string>();
  for (const flag of [golden.flags ?? []].flat()) {
    for (const word of flag.split(/\s+/)) {
      const match = /^--([^=]+)=(.*)$/.exec(word);
      if (match !== null) flags.set(match[1], match[2]);
    }
  }
  const name = (npu: number): string =>
    golden.spmd ? `${golden.workload}.et` : `${golden.workload}.${npu}.et`;
  return {
    backend: golden.backend,
    network,
    system: parseAstraSystem(golden.system, `${at}: system`, 'compat'),
    memory:
      golden.remote === undefined
        ? undefined
        : parseAstraMemory(golden.remote, `${at}: remote`, 'compat'),
    groups: parseAstraGroups(golden.groups ?? {}, `${at}: groups`),
    queuesPerDim: Number(flags.get('num-queues-per-dim') ?? 1),
    injectionScale: Number(flags.get('injection-scale') ?? 1),
    rendezvous: flags.get('rendezvous-protocol') === 'true',
    repairs: allRepairs(false),
    graphs: Array.from({ length: numNpus }, (_, npu) => folder.load(name(npu))),
    graphName: (npu) => `NPU ${npu}: ${name(npu)}`,
  };
}

export function answerCase(
  golden: GoldenCase,
  folder: GraphSource,
  fast: FastPaths = 'auto',
): CaseAnswer {
  let simulation: AstraSimulation;
  try {
    simulation = runAstra(caseInputs(golden, folder), () => ({}), fast);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { figures: [], refusal: error.message };
  }
  const figures = simulation.results().map(figuresOf);
  const lines = describeUnfinished(simulation);
  return { figures, refusal: lines.length === 0 ? undefined : lines.join('; ') };
}

/** Why the answer is not what is asked for; undefined when it is. */
export function judge(golden: GoldenCase, answer: CaseAnswer): string | undefined {
  const { expect } = golden;
  if (expect.outcome === 'ok' || expect.outcome === 'ok_nostats') {
    if (answer.refusal !== undefined) return `refused: ${answer.refusal}`;
    return compareAll(golden, answer.figures, expect.outcome === 'ok');
  }
  const fixed = expect.defects_fixed;
  if (answer.refusal !== undefined) {
    if (answer.refusal.trim() === '') return 'refused without a reason';
    if (answer.figures.length === 0 || fixed?.finish_ns === undefined) return undefined;
    return compare(
      'finish',
      fixed.finish_ns,
      answer.figures.map(({ finish }) => finish),
      golden.id,
    );
  }
  if (fixed?.outcome !== 'ok') return `finished, expected ${fixed?.outcome ?? expect.outcome}`;
  if (fixed.finish_ns === undefined) return undefined;
  return compare(
    'finish',
    fixed.finish_ns,
    answer.figures.map(({ finish }) => finish),
    golden.id,
  );
}

function compareAll(
  golden: GoldenCase,
  figures: readonly Figures[],
  statistics: boolean,
): string | undefined {
  const { expect, id } = golden;
  const keys = statistics
    ? (['finish', 'exposed', 'wall', 'comm', 'gpu', 'overlap'] as const)
    : (['finish', 'exposed'] as const);
  for (const key of keys) {
    const wanted = expect[`${key}_ns`];
    const got = figures.map((figure) => figure[key]);
    if (wanted === undefined) {
      // No statistics were printed at all, or this one was not.
      if (expect.wall_ns === undefined || got.every((value) => value === undefined)) continue;
      return `${key}: none expected, got ${encodeList(got)}`;
    }
    const difference = compare(key, wanted, got, id);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function compare(
  name: string,
  wanted: string,
  got: readonly (string | undefined)[],
  at: string,
): string | undefined {
  const list = decodeList(wanted, at);
  if (list.length === got.length && list.every((value, i) => value === got[i])) return undefined;
  return `${name}: expected ${shorten(wanted)}, got ${shorten(encodeList(got))}`;
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
