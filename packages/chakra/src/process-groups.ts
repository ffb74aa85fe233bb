/**
 * Communicator groups that a trace defines itself. PyTorch records the process groups of a rank as
 * one call, `## process_group:init ##`, whose input is a JSON list of `{pg_name, ranks}`; Chakra's
 * converter makes a METADATA node of it with that text in `inputs.values`, and collectives name a
 * group by `pg_name`. Ranks are NPUs.
 */
import { UserError } from '@astrolabe/base';
import { z } from 'zod';
import type { ExecutionGraph, Program } from './graph.js';
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
    ranks: z.union([z.array(rank), z.record(z.string().regex(/^\d+$/), rank)]).default([]),
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
  const groups: Record<string, readonly number[]> = {};
  for (const node of graph.fields.keys()) {
    const isInit = graph.strings[graph.name[node]].includes(initName);
    if (!isInit && graph.type[node] !== NodeType.metadata) continue;
    const text = nodeFields(graph, node).inputs?.values ?? '';
    if (!text.includes('pg_name')) continue;
    const place = `${at}: node ${graph.id[node]}`;
    for (const group of readList(text, all, place)) addGroups(groups, group, place);
  }
  return Object.keys(groups).length === 0 ? undefined : groups;
}

/** The JSON list, which is an element of a list as Python prints it: `['[{...}]']`. */
function readList(text: string, all: readonly number[], at: string): Groups[] {
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
    return { [pg_name]: members.length === 0 ? all : members };
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function inGroupOrder(ranks: Readonly<Record<string, number>>): number[] {
  const global = Object.keys(ranks);
  return global.sort((a, b) => ranks[a] - ranks[b]).map(Number);
}

/** @throws UserError a group that is known with other members */
export function addGroups(
  known: Record<string, readonly number[]>,
  more: Groups | undefined,
  at: string,
): void {
  for (const [name, members] of Object.entries(more ?? {})) {
    const before = known[name];
    if (before !== undefined && before.join() !== members.join()) {
      throw new UserError(
        `group "${name}" is [${members}] here and [${before}] in another graph of the iteration`,
        { at, hint: 'every group of an iteration needs a name of its own' },
      );
    }
    known[name] = members;
  }
}

/**
 * The groups that the graphs of one iteration define, all together.
 * @throws UserError as `processGroups`, and when two graphs disagree
 */
export function definedGroups(programs: readonly Program[]): Groups {
  const all = programs.flatMap(({ npus }) => npus).sort((a, b) => a - b);
  const groups: Record<string, readonly number[]> = {};
  for (const { graph, npus } of programs) {
    const at = `graph of NPU ${npus[0]}`;
    addGroups(groups, processGroups(graph, all, at), at);
  }
  return groups;
}
