/** Rules about communicator groups themselves, and which groups each graph's collectives can name. */
import { type Groups, processGroups } from '../process-groups.js';
import type { StreamMetadata } from '../stream-metadata.js';
import type { Findings, LintInput } from './finding.js';

interface Definition {
  readonly members: readonly number[];
  readonly npu: number;
}

/**
 * The groups of each input: those that are given or come with the stream, and those that the graphs
 * of its iteration define, on whichever NPU.
 * @param npusOf NPUs of each input's iteration, one array for all inputs of it
 */
export function checkGroups(
  inputs: readonly LintInput[],
  fields: readonly StreamMetadata[],
  npusOf: readonly (readonly number[])[],
  given: Groups | undefined,
  findings: Findings,
): Groups[] {
  const definedOf = new Map<readonly number[], Map<string, Definition>>();
  for (const [index, input] of inputs.entries()) {
    const npus = npusOf[index];
    const own = processGroups(input.graph, npus, input.at);
    if (own === undefined) continue;
    const known = definedOf.get(npus) ?? new Map<string, Definition>();
    definedOf.set(npus, known);
    addDefinitions(known, own, input, findings);
  }
  const seen = new Set<unknown>();
  return inputs.map((input, index) => {
    const stated = fields[index].groups ?? given ?? {};
    if (!seen.has(stated)) checkMembers(stated, input, findings);
    seen.add(stated);
    const defined = definedOf.get(npusOf[index]);
    if (defined === undefined) return stated;
    const groups = Object.fromEntries([...defined].map(([name, { members }]) => [name, members]));
    return { ...groups, ...stated };
  });
}

function addDefinitions(
  known: Map<string, Definition>,
  more: Groups,
  input: LintInput,
  findings: Findings,
): void {
  const fresh: Record<string, readonly number[]> = {};
  for (const [name, members] of Object.entries(more)) {
    const before = known.get(name);
    if (before === undefined) {
      known.set(name, { members, npu: input.npu });
      fresh[name] = members;
    } else if (before.members.join() !== members.join()) {
      const message =
        `group "${name}" is [${members.join(', ')}] here and ` +
        `[${before.members.join(', ')}] in the graph of NPU ${before.npu}`;
      findings.add('group-members', input, undefined, message);
    }
  }
  checkMembers(fresh, input, findings);
}

function checkMembers(groups: Groups, input: LintInput, findings: Findings): void {
  for (const [name, members] of Object.entries(groups)) {
    if (new Set(members).size === members.length) continue;
    const message = `group "${name}" lists an NPU twice: [${members.join(', ')}]`;
    findings.add('group-members', input, undefined, message);
  }
}
