/**
 * Collectives over all NPUs: every member of a group runs the same collectives, in the same order,
 * with the same sizes. A collective without a group (pg_name absent, "" or "0") is for all NPUs of
 * the iteration, or, with involved_dim switched off somewhere, for the NPUs that differ only in the
 * dimensions switched on.
 */
import { Attr } from '../graph.js';
import { CollectiveType, collectiveNames, NodeType } from '../node-type.js';
import type { ResolvedGraph } from './check-dependencies.js';
import type { NodeRef } from './check-messages.js';
import type { Findings, LintInput } from './finding.js';

interface CollectiveContext {
  /** NPU ids of each iteration's set of graphs, by input. */
  readonly npusOf: readonly (readonly number[])[];
  /** Communicator groups that each input's names refer to. */
  readonly groupsOf: readonly Readonly<Record<string, readonly number[]>>[];
  /** NPUs per network dimension, innermost first; needed to judge a partial involved_dim. */
  readonly npusPerDim: readonly number[] | undefined;
}

interface Team {
  readonly name: string;
  readonly members: readonly number[];
  /** Collectives of each NPU in issue order. */
  readonly sequence: Map<number, NodeRef[]>;
}

/** @returns for each collective that all members run, its nodes */
export function checkCollectives(
  inputs: readonly LintInput[],
  resolved: readonly ResolvedGraph[],
  context: CollectiveContext,
  findings: Findings,
): NodeRef[][] {
  const teams = new Map<string, Team>();
  for (const [index, input] of inputs.entries()) {
    const { graph, npu } = input;
    const told = new Set<string>();
    for (const node of resolved[index].order) {
      if (graph.type[node] !== NodeType.commColl) continue;
      // ASTRA-sim replays a broadcast's duration on each NPU by itself.
      if (graph.commType[node] === CollectiveType.broadcast) continue;
      const found = teamOf(input, index, node, context, told, findings);
      if (found === undefined) continue;
      const key = found.members.join(' ');
      let team = teams.get(key);
      if (team === undefined) {
        team = { ...found, sequence: new Map() };
        teams.set(key, team);
      }
      const list = team.sequence.get(npu);
      if (list === undefined) team.sequence.set(npu, [{ input: index, node }]);
      else list.push({ input: index, node });
    }
  }
  const meetings: NodeRef[][] = [];
  for (const team of teams.values()) compareMembers(team, inputs, findings, meetings);
  return meetings;
}

function teamOf(
  input: LintInput,
  index: number,
  node: number,
  context: CollectiveContext,
  told: Set<string>,
  findings: Findings,
): { name: string; members: readonly number[] } | undefined {
  const { graph, npu } = input;
  const name = graph.strings[graph.pgName[node]];
  if (name === '' || name === '0') {
    const members = involvedMembers(input, node, context.npusOf[index], context.npusPerDim);
    return members === undefined ? undefined : { name: 'all NPUs', members };
  }
  const members = context.groupsOf[index][name];
  const once = (rule: 'unknown-group' | 'not-a-member' | 'group-of-one', message: string): void => {
    if (!told.has(name)) findings.add(rule, input, node, message);
    told.add(name);
  };
  if (members === undefined) {
    once('unknown-group', `group "${name}" has no members given: see --groups`);
    return undefined;
  }
  if (!members.includes(npu)) {
    once('not-a-member', `NPU ${npu} is not in group "${name}" [${members.join(', ')}]`);
    return undefined;
  }
  if (members.length === 1) {
    once('group-of-one', `group "${name}" has the one member ${npu}`);
    return undefined;
  }
  return { name: `group "${name}"`, members };
}

/** NPUs whose coordinates differ from this one's only where involved_dim is on. */
function involvedMembers(
  input: LintInput,
  node: number,
  npus: readonly number[],
  npusPerDim: readonly number[] | undefined,
): readonly number[] | undefined {
  const { graph, npu } = input;
  if ((graph.present[node] & Attr.involvedDim) === 0) return npus;
  const count = graph.involvedDimCount[node];
  const bits = graph.involvedDims[node];
  if (bits === 2 ** count - 1 && count >= (npusPerDim?.length ?? 1)) return npus;
  if (npusPerDim === undefined) return undefined;
  const fixed = (id: number): string => {
    let rest = id;
    return npusPerDim
      .map((size, dim) => {
        const at = rest % size;
        rest = Math.floor(rest / size);
        return ((bits >>> dim) & 1) === 1 ? '' : at;
      })
      .join();
  };
  const own = fixed(npu);
  return npus.filter((id) => fixed(id) === own);
}

function compareMembers(
  team: Team,
  inputs: readonly LintInput[],
  findings: Findings,
  meetings: NodeRef[][],
): void {
  const present = new Set(inputs.map((input) => input.npu));
  const members = team.members.filter((npu) => present.has(npu));
  const [reference, ...others] = members;
  const expected = team.sequence.get(reference) ?? [];
  for (const npu of others) {
    const own = team.sequence.get(npu) ?? [];
    compareTwo(team, reference, expected, npu, own, inputs, findings);
  }
  const shortest = Math.min(...members.map((npu) => team.sequence.get(npu)?.length ?? 0));
  for (let k = 0; k < shortest; k++) {
    meetings.push(members.map((npu) => team.sequence.get(npu)![k]));
  }
}

/** Reports the first difference. */
function compareTwo(
  team: Team,
  reference: number,
  expected: readonly NodeRef[],
  npu: number,
  own: readonly NodeRef[],
  inputs: readonly LintInput[],
  findings: Findings,
): void {
  const say = (ref: NodeRef): string => describe(ref, inputs);
  if (own.length !== expected.length) {
    const [longer, shorter] = own.length > expected.length ? [own, expected] : [expected, own];
    const extra = longer.find((ref, k) => k >= shorter.length || say(ref) !== say(shorter[k]));
    const ref = extra ?? longer[shorter.length];
    const message =
      `${team.name}: NPU ${npu} runs ${own.length} collectives, NPU ${reference} ` +
      `${expected.length}; first without a partner: ${say(ref)}`;
    findings.add('collective-participants', inputs[ref.input], ref.node, message);
    return;
  }
  const k = own.findIndex((ref, i) => say(ref) !== say(expected[i]));
  if (k < 0) return;
  const [mine, theirs] = [own[k], expected[k]];
  const sorted = (list: readonly NodeRef[]): string => list.map(say).sort().join('|');
  const rule =
    sorted(own) === sorted(expected) ? 'collective-order' : differingRule(mine, theirs, inputs);
  const message =
    `${team.name}, collective ${k}: NPU ${npu} runs ${say(mine)}, ` +
    `NPU ${reference} ${say(theirs)}`;
  findings.add(rule, inputs[mine.input], mine.node, message);
}

function differingRule(
  a: NodeRef,
  b: NodeRef,
  inputs: readonly LintInput[],
): 'collective-type' | 'collective-size' | 'collective-dimensions' {
  const [graphA, graphB] = [inputs[a.input].graph, inputs[b.input].graph];
  if (graphA.commType[a.node] !== graphB.commType[b.node]) return 'collective-type';
  return graphA.commSizeBytes[a.node] === graphB.commSizeBytes[b.node]
    ? 'collective-dimensions'
    : 'collective-size';
}

function describe(ref: NodeRef, inputs: readonly LintInput[]): string {
  const { graph } = inputs[ref.input];
  const type = graph.commType[ref.node];
  const name = collectiveNames[type] ?? `comm_type ${type}`;
  const size = `${name} of ${graph.commSizeBytes[ref.node]} bytes`;
  if ((graph.present[ref.node] & Attr.involvedDim) === 0) return size;
  const dims = Array.from(
    { length: graph.involvedDimCount[ref.node] },
    (_, dim) => (graph.involvedDims[ref.node] >>> dim) & 1,
  );
  return `${size} in dimensions ${dims.join(',')}`;
}
