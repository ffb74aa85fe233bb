/**
 * One NPU's program under construction: nodes that follow one another, each waiting for the one
 * before, with the quantity that will give its duration or size. Sealed into a template, whose
 * structure all iterations share; an iteration only fills in numbers.
 */
import {
  type ExecutionGraph,
  GraphBuilder,
  NodeType,
  type StringTable,
  TensorLocation,
} from '@astrolabe/chakra';
import type { Group } from './groups.js';

export interface Template {
  /** Complete but for the columns below, which hold zeros. */
  readonly graph: ExecutionGraph;
  /** Node to quantity; quantity 0 is the constant 0. */
  readonly durations: Int32Array;
  /** Undefined when the program communicates nothing. */
  readonly commSizes: Int32Array | undefined;
  /** Undefined when the program touches no memory tier. */
  readonly tensorSizes: Int32Array | undefined;
  /** Undefined when all tags are fixed. Node to quantity; 0 keeps the node's own tag. */
  readonly tags: Int32Array | undefined;
}

export class Chain {
  private readonly builder: GraphBuilder;
  private readonly durations: number[] = [];
  private readonly commSizes: number[] = [];
  private readonly tensorSizes: number[] = [];
  private readonly tags: number[] = [];
  /** The node that the next one waits for; -1 at the start. */
  last = -1;
  /** Nodes that the next one waits for too. */
  private alsoLast: number[] = [];
  private lastCollective = -1;
  private readonly inOrder: boolean;

  /**
   * @param inOrder collectives wait for those added before, also of other parts of a batch: all ranks of
   * a group then run them in one order, whichever part is ready first on which
   */
  constructor(strings: StringTable, inOrder = false) {
    this.inOrder = inOrder;
    this.builder = new GraphBuilder(512, strings);
  }

  compute(name: string, quantity: number): number {
    const node = this.follow(NodeType.comp, name);
    this.durations[node] = quantity;
    return node;
  }

  /** @param quantity bytes of the rank's input buffer */
  collective(name: string, type: number, group: Group, quantity: number): number {
    const before = this.inOrder ? this.lastCollective : -1;
    const isParent = before === this.last || this.alsoLast.includes(before);
    const node = this.follow(NodeType.commColl, name);
    if (before >= 0 && !isParent) this.join(node, before);
    this.lastCollective = node;
    this.builder.setCollective(node, type, 0);
    this.builder.setGroup(node, group.name);
    this.commSizes[node] = quantity;
    return node;
  }

  /** @param tagQuantity gives the tag instead of `tag` */
  send(
    name: string,
    src: number,
    dst: number,
    tag: number,
    quantity: number,
    tagQuantity = 0,
  ): number {
    const node = this.follow(NodeType.commSend, name);
    this.setEnds(node, src, dst, tag, quantity, tagQuantity);
    return node;
  }

  receive(
    name: string,
    src: number,
    dst: number,
    tag: number,
    quantity: number,
    tagQuantity = 0,
  ): number {
    const node = this.follow(NodeType.commRecv, name);
    this.setEnds(node, src, dst, tag, quantity, tagQuantity);
    return node;
  }

  /** A send beside the chain, behind the chain's last node. */
  branchSend(name: string, src: number, dst: number, quantity: number, tagQuantity: number): void {
    const node = this.add(NodeType.commSend, name);
    if (this.last >= 0) this.builder.addDep(node, this.last);
    this.setEnds(node, src, dst, 0, quantity, tagQuantity);
  }

  /** A memory-tier access beside the chain: the node after it is told with `join`. */
  load(name: string, location: number, device: number, quantity: number, after: number): number {
    const node = this.add(NodeType.memLoad, name);
    this.builder.setTensorSize(node, 0);
    this.builder.setTensorLocation(node, location, device);
    if (after >= 0) this.builder.addDep(node, after);
    this.tensorSizes[node] = quantity;
    return node;
  }

  /** A store to a memory tier beside the chain; nothing waits for it but the end of the step. */
  store(name: string, location: number, device: number, quantity: number, after: number): void {
    const node = this.add(NodeType.memStore, name);
    this.builder.setTensorSize(node, 0);
    this.builder.setTensorLocation(node, location, device);
    this.builder.addDep(node, after);
    this.tensorSizes[node] = quantity;
  }

  /** Work of a PIM channel beside the chain, with the bytes that go there and back. */
  pim(name: string, device: number, duration: number, bytes: number, after: number): number {
    const node = this.add(NodeType.pimComp, name);
    this.builder.setTensorSize(node, 0);
    this.builder.setTensorLocation(node, TensorLocation.remote, device, 0);
    if (after >= 0) this.builder.addDep(node, after);
    this.durations[node] = duration;
    this.tensorSizes[node] = bytes;
    return node;
  }

  /** What follows waits for nothing before. */
  restart(): void {
    this.last = -1;
    this.alsoLast = [];
  }

  /** The next node waits for all of these. */
  gather(nodes: readonly number[]): void {
    this.last = nodes[0] ?? -1;
    this.alsoLast = nodes.slice(1);
  }

  /** `node` waits for `other` too. */
  join(node: number, other: number): void {
    this.builder.addDep(node, other);
  }

  seal(): Template {
    const graph = this.builder.finish();
    const column = (quantities: number[]): Int32Array | undefined =>
      quantities.length === 0
        ? undefined
        : Int32Array.from({ length: graph.nodeCount }, (_, node) => quantities[node] ?? 0);
    return {
      graph,
      durations: column(this.durations) ?? new Int32Array(graph.nodeCount),
      commSizes: column(this.commSizes),
      tensorSizes: column(this.tensorSizes),
      tags: column(this.tags),
    };
  }

  private setEnds(
    node: number,
    src: number,
    dst: number,
    tag: number,
    quantity: number,
    tagQuantity: number,
  ): void {
    this.builder.setPointToPoint(node, src, dst, tag, 0);
    this.commSizes[node] = quantity;
    if (tagQuantity > 0) this.tags[node] = tagQuantity;
  }

  private follow(type: NodeType, name: string): number {
    const node = this.add(type, name);
    if (this.last >= 0) this.builder.addDep(node, this.last);
    for (const other of this.alsoLast) this.builder.addDep(node, other);
    this.alsoLast = [];
    this.last = node;
    return node;
  }

  private add(type: NodeType, name: string): number {
    return this.builder.addNode(type, name);
  }
}

/** The template's graph with an iteration's numbers; what does not change is shared. */
export function instantiate(template: Template, values: Float64Array): ExecutionGraph {
  const { graph, durations, commSizes, tensorSizes, tags } = template;
  return {
    ...graph,
    durationNs: pick(durations, values),
    commSizeBytes: commSizes === undefined ? graph.commSizeBytes : pick(commSizes, values),
    tensorSizeBytes: tensorSizes === undefined ? graph.tensorSizeBytes : pick(tensorSizes, values),
    commTag:
      tags === undefined ? graph.commTag : graph.commTag.map((tag, i) => values[tags[i]] || tag),
  };
}

function pick(indices: Int32Array, values: Float64Array): Float64Array {
  const picked = new Float64Array(indices.length);
  for (let i = 0; i < indices.length; i++) picked[i] = values[indices[i]];
  return picked;
}
