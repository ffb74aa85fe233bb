/**
 * A whole run as one graph per NPU: the graphs of its iterations one behind the other. Node ids run on;
 * what has no dependency of its own waits for the end of the iteration before on that NPU. Traces know
 * no absolute times, so the time in which an NPU had nothing to do becomes a compute node `wait`: a
 * reader that computes as we do arrives at our times.
 */
import { type ExecutionGraph, GraphBuilder, NodeType } from '@astrolabe/chakra';

interface NpuEnd {
  nextId: number;
  /** Nodes of the last iteration that nothing depends on, by lane. */
  sinks: number[][];
  /** When the last iteration ended, by lane. */
  finishNs: number[];
}

export class RunChain {
  private readonly ends = new Map<number, NpuEnd>();

  /**
   * The graph's nodes behind everything that the NPU ran before.
   * @returns graphs to be written in order: the wait if there is one, then the nodes
   */
  append(
    graph: ExecutionGraph,
    {
      npu,
      lane,
      startNs,
      finishNs,
    }: { npu: number; lane: number; startNs: number; finishNs: number },
  ): ExecutionGraph[] {
    const end = this.endOf(npu);
    const graphs: ExecutionGraph[] = [];
    // A transfer runs beside the iterations: it waits for the last one that was over by then.
    const behind = lane === 0 || (end.finishNs[0] ?? 0) <= startNs ? 0 : lane;
    let before = end.sinks[behind] ?? [];
    const idleNs = startNs - (end.finishNs[behind] ?? 0);
    if (lane === 0 && idleNs > 0) {
      graphs.push(waitNode(end.nextId, idleNs, before));
      before = [end.nextId++];
    }
    const { moved, sinks } = shifted(graph, end.nextId, before);
    graphs.push(moved);
    end.nextId += largestId(graph) + 1;
    end.sinks[lane] = sinks;
    end.finishNs[lane] = finishNs;
    return graphs;
  }

  private endOf(npu: number): NpuEnd {
    let end = this.ends.get(npu);
    if (end === undefined) {
      end = { nextId: 0, sinks: [], finishNs: [] };
      this.ends.set(npu, end);
    }
    return end;
  }
}

function waitNode(id: number, durationNs: number, before: readonly number[]): ExecutionGraph {
  const builder = new GraphBuilder(4);
  const node = builder.addNode(NodeType.comp, 'wait');
  builder.setId(node, id);
  builder.setDuration(node, durationNs);
  builder.setNumOps(node, 0);
  builder.setTensorSize(node, 0);
  for (const parent of before) builder.addDepId(node, parent);
  return builder.finish();
}

function largestId(graph: ExecutionGraph): number {
  let largest = -1;
  for (let node = 0; node < graph.nodeCount; node++) largest = Math.max(largest, graph.id[node]);
  return largest;
}

/** Ids moved by `base`; nodes without dependencies get those of `before`. */
function shifted(
  graph: ExecutionGraph,
  base: number,
  before: readonly number[],
): { moved: ExecutionGraph; sinks: number[] } {
  const { nodeCount, dataDepStart, ctrlDepStart } = graph;
  const isRoot = (node: number): boolean =>
    dataDepStart[node] === dataDepStart[node + 1] && ctrlDepStart[node] === ctrlDepStart[node + 1];
  const id = new Float64Array(nodeCount);
  const start = new Int32Array(nodeCount + 1);
  for (let node = 0; node < nodeCount; node++) {
    id[node] = graph.id[node] + base;
    const own = dataDepStart[node + 1] - dataDepStart[node];
    start[node + 1] = start[node] + (isRoot(node) ? before.length : own);
  }
  const dataDep = new Float64Array(start[nodeCount]);
  for (let node = 0; node < nodeCount; node++) {
    if (isRoot(node)) dataDep.set(before, start[node]);
    else {
      const from = dataDepStart[node];
      const count = start[node + 1] - start[node];
      for (let i = 0; i < count; i++) dataDep[start[node] + i] = graph.dataDep[from + i] + base;
    }
  }
  const ctrlDep = graph.ctrlDep.map((dep) => dep + base);
  const parents = new Set<number>([...dataDep, ...ctrlDep]);
  const sinks = [...id].filter((own) => !parents.has(own));
  return { moved: { ...graph, id, dataDepStart: start, dataDep, ctrlDep }, sinks };
}
