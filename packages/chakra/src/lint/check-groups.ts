/** Rules about communicator groups themselves, and which groups each graph's collectives can name. */
import { ambiguousNames, type Groups, processGroups } from '../process-groups.js';
import type { StreamMetadata } from '../stream-metadata.js';
import type { Findings, LintInput } from './finding.js';

/**
 * The groups of each input: those that are given or come with the stream, those that the graph itself
 * defines, and those that others of its iteration define, if they agree.
 * @param npusOf NPUs of each input's iteration, one array for all inputs of it
 */
export function checkGroups(
  inputs: readonly LintInput[],
  fields: readonly StreamMetadata[],
  npusOf: readonly (readonly number[])[],
  given: Groups | undefined,
  findings: Findings,
): Groups[] {
  const own = inputs.map(({ graph, at }, index) => processGroups(graph, npusOf[index], at));
  const others = agreedGroups(own, npusOf);
  const seen = new Set<Groups>();
  return inputs.map((input, index) => {
    const stated = fields[index].groups ?? given ?? {};
    const defined = own[index];
    for (const groups of [stated, defined ?? {}]) {
      if (!seen.has(groups)) checkMembers(groups, input, findings);
      seen.add(groups);
    }
    const agreed = others.get(npusOf[index]);
    return agreed === undefined ? stated : { ...agreed, ...defined, ...stated };
  });
}

/** By iteration: what some graph of it defines, and no other differently. */
function agreedGroups(
  own: readonly (Groups | undefined)[],
  npusOf: readonly (readonly number[])[],
): Map<readonly number[], Groups> {
  const ofIteration = new Map<readonly number[], Groups[]>();
  for (const [index, groups] of own.entries()) {
    if (groups === undefined) continue;
    const list = ofIteration.get(npusOf[index]);
    if (list === undefined) ofIteration.set(npusOf[index], [groups]);
    else list.push(groups);
  }
  const agreed = new Map<readonly number[], Groups>();
  for (const [npus, list] of ofIteration) {
    const ambiguous = ambiguousNames(list);
    const entries = list.flatMap((groups) => Object.entries(groups));
    agreed.set(npus, Object.fromEntries(entries.filter(([name]) => !ambiguous.has(name))));
  }
  return agreed;
}

function checkMembers(groups: Groups, input: LintInput, findings: Findings): void {
  for (const [name, members] of Object.entries(groups)) {
    if (new Set(members).size === members.length) continue;
    const message = `group "${name}" lists an NPU twice: [${members.join(', ')}]`;
    findings.add('group-members', input, undefined, message);
  }
}
