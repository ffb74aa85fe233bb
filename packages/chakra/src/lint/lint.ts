/**
 * Static checks of a trace: all NPUs' graphs of a run, or of a stream of iterations. Says what would
 * stop, hang or falsify a simulation, with the node where it shows.
 */
import type { ExecutionGraph } from '../graph.js';
import { readStreamMetadata, type StreamMetadata } from '../stream-metadata.js';
import { checkCollectives } from './check-collectives.js';
import { checkDeadlock } from './check-deadlock.js';
import { checkDependencies } from './check-dependencies.js';
import { checkGroups } from './check-groups.js';
import { checkMessages } from './check-messages.js';
import { checkNode, checkRounding, type LintTarget } from './check-node.js';
import { type Finding, Findings, type LintInput, lintRules } from './finding.js';

export interface LintOptions {
  /** Communicator groups of graphs whose stream names none: NPU ids in ring order. */
  readonly groups?: Readonly<Record<string, readonly number[]>>;
  /** How many NPUs there must be; without it the highest NPU + 1. */
  readonly npuCount?: number;
  /** NPUs per network dimension, to judge collectives over some dimensions only. */
  readonly npusPerDim?: readonly number[];
  /** Default `any`. */
  readonly target?: LintTarget;
  /** Default 20. */
  readonly limitPerRule?: number;
}

export interface LintReport {
  readonly findings: readonly Finding[];
  /** Findings beyond the limit per rule. */
  readonly dropped: number;
}

/** @param inputs in the order of the stream */
export function lint(inputs: readonly LintInput[], options: LintOptions = {}): LintReport {
  const findings = new Findings(options.limitPerRule ?? 20);
  const fields = inputs.map(({ graph, at }) => readStreamMetadata(graph.metadata, at));
  const npusOf = checkRanks(inputs, fields, options.npuCount, findings);
  const groupsOf = checkGroups(inputs, fields, npusOf, options.groups, findings);
  const resolved = inputs.map((input, index) => {
    const { graph } = input;
    const { nodeCount, advanceNs } = fields[index];
    if (graph.nodeCount === 0 && nodeCount === undefined && advanceNs === undefined) {
      findings.add('empty-graph', input, undefined, 'no nodes; ASTRA-sim needs one per NPU');
    }
    const edges = checkDependencies(input, findings);
    for (let node = 0; node < graph.nodeCount; node++) {
      checkNode(input, node, options.target ?? 'any', findings);
    }
    if (options.target === 'astra-sim') checkRounding(input, findings);
    return edges;
  });
  const pairs = checkMessages(inputs, resolved, findings);
  const context = { npusOf, groupsOf, npusPerDim: options.npusPerDim };
  const meetings = checkCollectives(inputs, resolved, context, findings);
  // What is unmatched or circular already stalls; the rest must be able to finish.
  const isStuck = findings.list.some(({ rule }) => stalling.has(rule));
  if (!isStuck) checkDeadlock(inputs, resolved, pairs, meetings, findings);
  return { findings: sorted(findings.list, inputs), dropped: findings.dropped };
}

const stalling: ReadonlySet<string> = new Set([
  'cycle',
  'orphan-dependency',
  'duplicate-id',
  'duplicate-rank',
  'unmatched-send',
  'unmatched-receive',
  'collective-participants',
]);

/** The name a graph of a stream goes by: the file alone, or its place in the stream. */
export function graphPlace(file: string, index: number, graph: ExecutionGraph): string {
  const { instance, iteration, npu } = readStreamMetadata(graph.metadata, file);
  if (iteration === undefined) return index === 0 ? file : `${file}: graph ${index}`;
  return `${file}: instance ${instance ?? 0} iteration ${iteration} NPU ${npu ?? '?'}`;
}

/** @returns the NPUs of each input's iteration */
function checkRanks(
  inputs: readonly LintInput[],
  fields: readonly StreamMetadata[],
  npuCount: number | undefined,
  findings: Findings,
): readonly number[][] {
  const sets = new Map<string, number[]>();
  for (const [index, field] of fields.entries()) {
    // Clock frames belong to no NPU.
    if (field.advanceNs !== undefined) continue;
    const key = `${field.instance ?? 0}/${field.lane ?? 0}/${field.iteration ?? 0}`;
    const list = sets.get(key);
    if (list === undefined) sets.set(key, [index]);
    else list.push(index);
  }
  const npusOf: number[][] = inputs.map(() => []);
  for (const indices of sets.values()) {
    const npus: number[] = [];
    for (const index of indices) {
      const input = inputs[index];
      if (npus.includes(input.npu)) {
        findings.add('duplicate-rank', input, undefined, `a second graph for NPU ${input.npu}`);
      } else npus.push(input.npu);
    }
    npus.sort((a, b) => a - b);
    for (const index of indices) npusOf[index] = npus;
    const first = inputs[indices[0]];
    const announced = fields[indices[0]].npuCount;
    if (announced === undefined) checkContiguous(first, npus, npuCount, findings);
    else if (announced !== npus.length) {
      const message = `graphs of ${npus.length} NPUs where npu_count says ${announced}`;
      findings.add('missing-rank', first, undefined, message);
    }
    // Missing ones of files without npu_count are named one by one above. Transfers need not use all NPUs.
    const isStep = (fields[indices[0]].lane ?? 0) === 0;
    const isWrong =
      announced === undefined ? npus.length > (npuCount ?? 0) : npus.length !== npuCount;
    if (npuCount !== undefined && isStep && isWrong) {
      const message = `graphs of ${npus.length} NPUs, expected ${npuCount}`;
      findings.add('missing-rank', first, undefined, message);
    }
  }
  return npusOf;
}

/** Files are numbered from 0 without gaps. */
function checkContiguous(
  first: LintInput,
  npus: readonly number[],
  npuCount: number | undefined,
  findings: Findings,
): void {
  const known = new Set(npus);
  const count = npuCount ?? npus[npus.length - 1] + 1;
  const missing: number[] = [];
  for (let npu = 0; npu < count; npu++) if (!known.has(npu)) missing.push(npu);
  if (missing.length === 0) return;
  const list = missing.slice(0, 8).join(', ') + (missing.length > 8 ? ' ...' : '');
  findings.add('missing-rank', first, undefined, `no graph for NPU ${list} of 0..${count - 1}`);
}

/** By place in the input, then node, then rule: the same findings in the same order, always. */
function sorted(list: readonly Finding[], inputs: readonly LintInput[]): Finding[] {
  const placeOf = new Map(inputs.map((input, index) => [`${input.at} ${input.npu}`, index]));
  const rules = Object.keys(lintRules);
  const place = ({ at, npu }: Finding): number => placeOf.get(`${at} ${npu}`) ?? -1;
  return list.toSorted(
    (a, b) =>
      place(a) - place(b) ||
      (a.node ?? -1) - (b.node ?? -1) ||
      rules.indexOf(a.rule) - rules.indexOf(b.rule),
  );
}
