/**
 * Communicator groups that a trace defines itself. PyTorch records the process groups of a rank as
 * one call, `## process_group:init ##`, whose input is a JSON list of `{pg_name, ranks}`; Chakra's
 * converter makes a METADATA node of it with that text in `inputs.values`, and collectives name a
 * group by `pg_name`. Ranks are NPUs.
 */
import { UserError } from '@astrolabe/base';
import { z } from 'zod';
import { Attr, type ExecutionGraph, type Program } from './graph.js';
import { nodeFields } from './node-fields.js';
import { NodeType } from './node-type.js';

/** Members by name, in ring order. */
export type Groups = Readonly<Record<string, readonly number[]>>;

const initName = 'process_group:init';

const rank = z.number().int().nonnegative();
const listSchema = z.array(
  z.object({
    pg_name: z.union([z.string(), z.number().int().transform(String)]),
    // Older PyTorch: from global rank to the rank within the group.
    ranks: z
      .union([
        z.array(rank),
        z.record(z.string().regex(/^\d+$/), rank).refine((places) => isDistinct(places)),
      ])
      .default([]),
  }),
);

/**
 * The groups that the graph's nodes define. PyTorch leaves out the ranks of a group of everybody.
 * @param all NPUs of the run
 * @throws UserError when a definition cannot be read, or a name has two
 */
export function processGroups(
  graph: ExecutionGraph,
  all: readonly number[],
  at: string,
): Groups | undefined {
  // A definition is in `inputs`; our own graphs have none.
  if (graph.fields === undefined || graph.fields.size === 0) return undefined;
  const groups = newGroups();
  for (const node of graph.fields.keys()) {
    const isInit = graph.strings[graph.name[node]].includes(initName);
    if (!isInit && graph.type[node] !== NodeType.metadata) continue;
    const text = nodeFields(graph, node).inputs?.values ?? '';
    if (!text.includes('pg_name')) continue;
    const place = `${at}: node ${graph.id[node]}`;
    for (const [name, members] of readList(text, all, place)) {
      const before = groups[name] ?? members;
      if (before.join() !== members.join()) {
        throw new UserError(`process group "${name}" is [${members}] and [${before}]`, {
          at: place,
        });
      }
      groups[name] = members;
    }
  }
  return Object.keys(groups).length === 0 ? undefined : groups;
}

/** Without a prototype: a group may be called `constructor`. */
function newGroups(): Record<string, readonly number[]> {
  return Object.create(null);
}

/** The JSON list, which is an element of a list as Python prints it: `['[{...}]']`. */
function readList(
  text: string,
  all: readonly number[],
  at: string,
): (readonly [name: string, members: readonly number[]])[] {
  const inner = text.slice(text.indexOf('[{'), text.lastIndexOf('}]') + 2);
  const value = parsed(inner) ?? parsed(inner.replaceAll('\\"', '"'));
  const list = listSchema.safeParse(value);
  if (!list.success) {
    throw new UserError('process groups that cannot be read', {
      at,
      hint: 'expected [{"pg_name": "1", "ranks": [0, 1]}, ...] in inputs.values',
    });
  }
  return list.data.map(({ pg_name, ranks }) => {
    const members = Array.isArray(ranks) ? ranks : inGroupOrder(ranks);
    return [pg_name, members.length === 0 ? all : members] as const;
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isDistinct(places: Readonly<Record<string, number>>): boolean {
  const all = Object.values(places);
  return new Set(all).size === all.length;
}

function inGroupOrder(ranks: Readonly<Record<string, number>>): number[] {
  const global = Object.keys(ranks);
  return global.sort((a, b) => ranks[a] - ranks[b]).map(Number);
}

/**
 * The groups of one iteration: those that its graphs define, and the given ones, which come first. A
 * rank's name means the group that the rank itself defines: PyTorch counts names, so that groups split
 * from one parent share theirs. Such graphs get names of their own.
 * @throws UserError as `processGroups`
 */
export function withGroups(
  programs: readonly Program[],
  given: Groups,
): { readonly programs: readonly Program[]; readonly groups: Groups } {
  const all = programs.flatMap(({ npus }) => npus).sort((a, b) => a - b);
  const own = programs.map(({ graph, npus }) =>
    processGroups(graph, all, `graph of NPU ${npus[0]}`),
  );
  if (own.every((groups) => groups === undefined)) return { programs, groups: given };
  const ambiguous = ambiguousNames(own);
  const groups = newGroups();
  const renamed = programs.map((program, i) => {
    const names = new Map<string, string>();
    for (const [name, members] of Object.entries(own[i] ?? {})) {
      const isOwn = ambiguous.has(name) && !Object.hasOwn(given, name);
      const full = isOwn ? `${name} [${members}]` : name;
      groups[full] = members;
      if (isOwn) names.set(name, full);
    }
    return names.size === 0 ? program : { ...program, graph: renameGroups(program.graph, names) };
  });
  return { programs: renamed, groups: Object.assign(groups, given) };
}

/** Names with more than one list of members. */
export function ambiguousNames(definitions: readonly (Groups | undefined)[]): Set<string> {
  const first = new Map<string, string>();
  const ambiguous = new Set<string>();
  for (const groups of definitions) {
    for (const [name, members] of Object.entries(groups ?? {})) {
      const key = members.join();
      const known = first.get(name) ?? key;
      first.set(name, known);
      if (known !== key) ambiguous.add(name);
    }
  }
  return ambiguous;
}

function renameGroups(graph: ExecutionGraph, names: ReadonlyMap<string, string>): ExecutionGraph {
  const strings = [...graph.strings];
  const indexOf = new Map<string, number>();
  const pgName = graph.pgName.map((index, node) => {
    const to = (graph.present[node] & Attr.pgName) === 0 ? undefined : names.get(strings[index]);
    if (to === undefined) return index;
    const at = indexOf.get(to) ?? strings.push(to) - 1;
    indexOf.set(to, at);
    return at;
  });
  return { ...graph, pgName, strings };
}
