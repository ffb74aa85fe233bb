/**
 * The condensed golden table: a selection of cases in a form small enough to commit, written only
 * where the simulator equals the real ASTRA-sim. First the graphs, one a line
 * (`{"graph": name, "nodes": [[id, type, durationNs, parents, attributes], ...]}`), then the cases.
 */
import { Attr, type ExecutionGraph, GraphBuilder, type NodeType } from '@astrolabe/chakra';
import { z } from 'zod';
import type { GoldenCase } from './golden-case.js';

const attributesSchema = z.strictObject({
  cpu: z.number().optional(),
  ops: z.number().optional(),
  tensor: z.number().optional(),
  comm: z.tuple([z.number(), z.number()]).optional(),
  src: z.number().optional(),
  dst: z.number().optional(),
  tag: z.number().optional(),
  size: z.number().optional(),
  group: z.string().optional(),
  dims: z.tuple([z.number(), z.number()]).optional(),
});

const nodeSchema = z.tuple([
  z.number(),
  z.number(),
  z.number(),
  z.array(z.number()),
  attributesSchema,
]);

export const condensedGraphSchema = z.strictObject({
  graph: z.string(),
  nodes: z.array(nodeSchema),
});

type CondensedNode = z.infer<typeof nodeSchema>;

/** Undefined if the graph has something this form cannot say. */
export function condenseGraph(graph: ExecutionGraph): CondensedNode[] | undefined {
  if (graph.extra.size > 0) return undefined;
  const nodes: CondensedNode[] = [];
  for (let i = 0; i < graph.nodeCount; i++) {
    const has = (bit: number): boolean => (graph.present[i] & bit) !== 0;
    const parents = [
      ...graph.dataDep.subarray(graph.dataDepStart[i], graph.dataDepStart[i + 1]),
      ...graph.ctrlDep.subarray(graph.ctrlDepStart[i], graph.ctrlDepStart[i + 1]),
    ];
    const attributes: CondensedNode[4] = {};
    if (has(Attr.isCpuOp) && graph.isCpuOp[i] !== 0) attributes.cpu = 1;
    if (has(Attr.numOps)) attributes.ops = graph.numOps[i];
    if (has(Attr.tensorSize)) attributes.tensor = graph.tensorSizeBytes[i];
    if (has(Attr.commType) && has(Attr.commSize)) {
      attributes.comm = [graph.commType[i], graph.commSizeBytes[i]];
    } else if (has(Attr.commSize)) {
      attributes.size = graph.commSizeBytes[i];
    } else if (has(Attr.commType)) {
      return undefined;
    }
    if (has(Attr.commSrc)) attributes.src = graph.commSrc[i];
    if (has(Attr.commDst)) attributes.dst = graph.commDst[i];
    if (has(Attr.commTag)) attributes.tag = graph.commTag[i];
    if (has(Attr.pgName)) attributes.group = graph.strings[graph.pgName[i]];
    if (has(Attr.involvedDim)) {
      attributes.dims = [graph.involvedDims[i], graph.involvedDimCount[i]];
    }
    nodes.push([graph.id[i], graph.type[i], graph.durationNs[i], parents, attributes]);
  }
  return nodes;
}

export function expandGraph(nodes: readonly CondensedNode[]): ExecutionGraph {
  const builder = new GraphBuilder();
  for (const [id, type, durationNs] of nodes) {
    const node = builder.addNode(type as NodeType, `node ${id}`);
    builder.setId(node, id);
    builder.setDuration(node, durationNs);
  }
  const { columns } = builder;
  nodes.forEach(([, , , parents, a], node) => {
    for (const parent of parents) builder.addDepId(node, parent);
    const set = (bit: number, column: { [index: number]: number }, value?: number): void => {
      if (value === undefined) return;
      column[node] = value;
      columns.present[node] |= bit;
    };
    set(Attr.isCpuOp, columns.isCpuOp, a.cpu);
    set(Attr.numOps, columns.numOps, a.ops);
    set(Attr.tensorSize, columns.tensorSizeBytes, a.tensor);
    set(Attr.commType, columns.commType, a.comm?.[0]);
    set(Attr.commSize, columns.commSizeBytes, a.comm?.[1] ?? a.size);
    set(Attr.commSrc, columns.commSrc, a.src);
    set(Attr.commDst, columns.commDst, a.dst);
    set(Attr.commTag, columns.commTag, a.tag);
    if (a.group !== undefined) builder.setGroup(node, a.group);
    if (a.dims !== undefined) builder.setInvolvedDims(node, a.dims[0], a.dims[1]);
  });
  return builder.finish();
}

/** What a case exercises: one case of each is kept. */
export function signatureOf(golden: GoldenCase): string {
  const { system } = golden;
  const value = (key: string): string => JSON.stringify((system as Record<string, unknown>)[key]);
  const { topology } = golden.network as { topology: readonly string[] };
  const used = value('all-reduce-implementation').replace(/direct\d+/g, 'directk');
  const distinct = new Set(used.match(/[a-z]\w+/gi) ?? []);
  return [
    golden.table,
    golden.backend,
    golden.expect.outcome,
    topology.length === 1 ? topology[0] : String(topology.length),
    golden.workload.replace(/\d+/g, '').replace(/(_[a-z]+)+$/, ''),
    [...distinct].sort().join(),
    value('collective-optimization'),
    value('active-chunks-per-dimension') === '1' ? 'one' : 'several',
    [golden.flags ?? []].flat().join(' ').replace(/\d+/g, 'n'),
    value('model-shared-bus'),
    value('roofline-enabled'),
    value('replay-only'),
    golden.groups === undefined ? '' : 'groups',
    String((golden.remote as Record<string, unknown> | undefined)?.['memory-type']),
  ].join('|');
}
