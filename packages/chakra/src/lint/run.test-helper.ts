/** A small valid run of four NPUs as a list of nodes that a test may break before it is built. */
import type { ExecutionGraph } from '../graph.js';
import { GraphBuilder } from '../graph-builder.js';
import { CollectiveType, NodeType } from '../node-type.js';
import type { LintInput } from './finding.js';

/** One NPU's nodes under construction: by name, changed by a defect before they are built. */
export interface Draft {
  name: string;
  id: number;
  type: number;
  parents: (string | number)[];
  ctrlParents?: number[];
  set: (builder: GraphBuilder, node: number) => void;
}

/** Breaks NPU 1's nodes, or those of all. */
export type Plant = (nodes: Draft[], all: Draft[][]) => void;

const { allReduce, allToAll } = CollectiveType;
export const groups = { '1': [0, 1], '2': [2, 3] };

/** Load, compute, group all-reduce, all-to-all; a message to the next NPU; store. */
export function drafts(npu: number): Draft[] {
  const next = (npu + 1) % 4;
  const previous = (npu + 3) % 4;
  const group = npu < 2 ? '1' : '2';
  return [
    draft('load', NodeType.memLoad, [], (b, n) => b.setTensorSize(n, 4096)),
    draft('gemm', NodeType.comp, ['load'], (b, n) => b.setDuration(n, 5000)),
    draft('reduce', NodeType.commColl, ['gemm'], (b, n) => {
      b.setCollective(n, allReduce, 1024);
      b.setGroup(n, group);
    }),
    draft('exchange', NodeType.commColl, ['reduce'], (b, n) => b.setCollective(n, allToAll, 256)),
    draft('send', NodeType.commSend, ['exchange'], (b, n) =>
      b.setPointToPoint(n, npu, next, 7, 64),
    ),
    draft('receive', NodeType.commRecv, ['exchange'], (b, n) =>
      b.setPointToPoint(n, previous, npu, 7, 64),
    ),
    draft('store', NodeType.memStore, ['send', 'receive'], (b, n) => b.setTensorSize(n, 4096)),
  ].map((node, index) => ({ ...node, id: index + 10 }));
}

export function draft(name: string, type: number, parents: string[], set: Draft['set']): Draft {
  return { name, id: 0, type, parents, set };
}

export function build(nodes: readonly Draft[]): ExecutionGraph {
  const builder = new GraphBuilder();
  const ids = new Map(nodes.map((node) => [node.name, node.id]));
  for (const node of nodes) {
    const index = builder.addNode(node.type as NodeType, node.name);
    builder.setId(index, node.id);
    for (const parent of node.parents) {
      builder.addDepId(index, typeof parent === 'number' ? parent : ids.get(parent)!);
    }
    for (const parent of node.ctrlParents ?? []) builder.addCtrlDepId(index, parent);
    node.set(builder, index);
  }
  return builder.finish();
}

/** The run after `change` has been at NPU 1's nodes; it may replace the list or one NPU's graph. */
export function run(change: Plant = () => undefined): LintInput[] {
  const all = [0, 1, 2, 3].map(drafts);
  change(all[1], all);
  return all.map((nodes, npu) => ({ npu, graph: build(nodes), at: `t.${npu}.et` }));
}

export function named(nodes: Draft[], name: string): Draft {
  return nodes.find((node) => node.name === name)!;
}

/** Replaces what a node sets. */
export function put(nodes: Draft[], name: string, set: Draft['set']): void {
  named(nodes, name).set = set;
}

/** Does something after what a node sets. */
export function also(nodes: Draft[], name: string, more: Draft['set']): void {
  const { set } = named(nodes, name);
  put(nodes, name, (builder, node) => {
    set(builder, node);
    more(builder, node);
  });
}
