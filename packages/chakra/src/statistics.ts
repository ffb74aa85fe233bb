/** What a graph consists of: nodes by type, times, bytes, longest chain. Times ns, sizes bytes. */
import type { ExecutionGraph } from './graph.js';
import { checkDependencies } from './lint/check-dependencies.js';
import { Findings } from './lint/finding.js';
import { collectiveName, nodeTypeName } from './node-record.js';
import { NodeType } from './node-type.js';

export interface GraphStatistics {
  nodeCount: number;
  edgeCount: number;
  /** Nodes without parents. */
  rootCount: number;
  nodesByType: Record<string, number>;
  /** Of compute nodes, of PIM ones too; what a trace recorded for communication is not in it. */
  computeNs: number;
  /** Longest chain of compute durations, other nodes counted as zero. */
  criticalPathNs: number;
  /** Nodes on the chain with most nodes. */
  depth: number;
  numOps: number;
  loadBytes: number;
  storeBytes: number;
  sendBytes: number;
  receiveBytes: number;
  /** Per collective: how many and their comm_size in all. */
  collectives: Record<string, { count: number; sizeBytes: number }>;
}

/** Counts of a graph; times ns, sizes bytes. */
export function graphStatistics(graph: ExecutionGraph): GraphStatistics {
  const input = { graph, npu: 0, at: '' };
  const { parentStart, parent, order } = checkDependencies(input, new Findings(0));
  const result: GraphStatistics = {
    nodeCount: graph.nodeCount,
    edgeCount: graph.dataDep.length + graph.ctrlDep.length,
    rootCount: 0,
    nodesByType: {},
    computeNs: 0,
    criticalPathNs: 0,
    depth: 0,
    numOps: 0,
    loadBytes: 0,
    storeBytes: 0,
    sendBytes: 0,
    receiveBytes: 0,
    collectives: {},
  };
  const counts = new Map<string, number>();
  for (let node = 0; node < graph.nodeCount; node++) {
    const type = nodeTypeName(graph.type[node]);
    counts.set(type, (counts.get(type) ?? 0) + 1);
    if (parentStart[node] === parentStart[node + 1]) result.rootCount++;
    addNode(result, graph, node);
  }
  for (const type of [...counts.keys()].sort()) result.nodesByType[type] = counts.get(type)!;
  const endNs = new Float64Array(graph.nodeCount);
  const depth = new Int32Array(graph.nodeCount);
  for (const node of order) {
    let startNs = 0;
    for (let i = parentStart[node]; i < parentStart[node + 1]; i++) {
      startNs = Math.max(startNs, endNs[parent[i]]);
      depth[node] = Math.max(depth[node], depth[parent[i]]);
    }
    endNs[node] = startNs + computeNsOf(graph, node);
    depth[node]++;
    result.criticalPathNs = Math.max(result.criticalPathNs, endNs[node]);
    result.depth = Math.max(result.depth, depth[node]);
  }
  return result;
}

function computeNsOf(graph: ExecutionGraph, node: number): number {
  const type = graph.type[node];
  return type === NodeType.comp || type === NodeType.pimComp ? graph.durationNs[node] : 0;
}

function addNode(result: GraphStatistics, graph: ExecutionGraph, node: number): void {
  const sizeBytes = graph.commSizeBytes[node];
  result.computeNs += computeNsOf(graph, node);
  result.numOps += graph.numOps[node];
  switch (graph.type[node]) {
    case NodeType.memLoad:
      result.loadBytes += graph.tensorSizeBytes[node];
      break;
    case NodeType.memStore:
      result.storeBytes += graph.tensorSizeBytes[node];
      break;
    case NodeType.commSend:
      result.sendBytes += sizeBytes;
      break;
    case NodeType.commRecv:
      result.receiveBytes += sizeBytes;
      break;
    case NodeType.commColl: {
      const name = collectiveName(graph.commType[node]);
      result.collectives[name] ??= { count: 0, sizeBytes: 0 };
      result.collectives[name].count++;
      result.collectives[name].sizeBytes += sizeBytes;
      break;
    }
    default:
  }
}
