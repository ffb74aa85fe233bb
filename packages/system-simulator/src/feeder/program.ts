/**
 * An execution graph made ready to run: nodes in order of id, dependencies as counts and children,
 * durations fixed, attributes checked. Compiled once per graph, shared by all NPUs that run it. Times
 * ns, sizes bytes.
 */
import { UserError } from '@astrolabe/base';
import {
  Attr,
  collectiveNames,
  type ExecutionGraph,
  NodeType,
  nodeTypeName,
} from '@astrolabe/chakra';
import type { BufferPool } from './buffer-pool.js';
import { findChains, linkNodes, refuseCycles } from './program-edges.js';
import {
  type Columns,
  type NodeRules,
  Op,
  type Program,
  place,
  Slot,
  Stat,
} from './program-shape.js';

export {
  defaultRules,
  type NodeRules,
  Op,
  type Program,
  place,
  rowOf,
  Slot,
  Stat,
} from './program-shape.js';

/**
 * @param at names the graph in errors
 * @param pool where the columns' memory comes from
 * @throws UserError
 */
export function compileProgram(
  graph: ExecutionGraph,
  rules: NodeRules,
  at: string,
  pool?: BufferPool,
): Program {
  const n = graph.nodeCount;
  const row = idOrder(graph, at);
  const columns = makeColumns(n, graph.dataDep.length + graph.ctrlDep.length, pool);
  const { op, slot, stat, durationNs } = columns;
  let hasMemory = false;
  let hasPointToPoint = false;
  for (let i = 0; i < n; i++) {
    const r = row === undefined ? i : row[i];
    const kind = operationOf(graph, r, rules, at);
    op[i] = kind;
    slot[i] = slotOf(graph, r, kind, rules);
    stat[i] = statOf(graph, r);
    durationNs[i] = durationOf(graph, r, kind, rules);
    if (kind === Op.memory || kind === Op.pim) hasMemory = true;
    if (kind === Op.send || kind === Op.receive) hasPointToPoint = true;
  }
  linkNodes(graph, row, rules, columns, at);
  const { parents } = columns;
  const roots: number[] = [];
  for (let i = 0; i < n; i++) if (parents[i] === 0) roots.push(i);
  findChains(columns);
  const program: Program = {
    graph,
    nodeCount: n,
    row,
    roots,
    ...columns,
    hasMemory,
    hasPointToPoint,
  };
  if (rules.refuseCycles) refuseCycles(program, at);
  return program;
}

/** All columns in one buffer: an allocation each would cost more than the work on them. */
function makeColumns(n: number, edges: number, pool: BufferPool | undefined): Columns {
  const sizeBytes = n * (8 * 2 + 4 * 4 + 3) + 4 * (edges + 1);
  const buffer = pool === undefined ? new ArrayBuffer(sizeBytes) : pool.take(sizeBytes);
  let offset = 0;
  const take = (bytes: number): number => {
    const at = offset;
    offset += bytes;
    return at;
  };
  return {
    buffer,
    durationNs: new Float64Array(buffer, take(8 * n), n),
    chainNs: new Float64Array(buffer, take(8 * n), n),
    parents: new Int32Array(buffer, take(4 * n), n),
    chainEnd: new Int32Array(buffer, take(4 * n), n),
    chainCount: new Int32Array(buffer, take(4 * n), n),
    childStart: new Int32Array(buffer, take(4 * (n + 1)), n + 1).fill(0),
    child: new Int32Array(buffer, take(4 * edges), edges),
    op: new Uint8Array(buffer, take(n), n),
    slot: new Uint8Array(buffer, take(n), n),
    stat: new Uint8Array(buffer, take(n), n),
  };
}

/**
 * Rows in ascending order of id; undefined when they are in that order already.
 * @throws UserError two nodes of one id: which of them a dependency means cannot be told
 */
function idOrder(graph: ExecutionGraph, at: string): Int32Array | undefined {
  const { id, nodeCount: n } = graph;
  let ordered = true;
  for (let i = 1; i < n && ordered; i++) ordered = id[i] > id[i - 1];
  if (ordered) return undefined;
  const order = new Int32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  order.sort((a, b) => id[a] - id[b] || a - b);
  for (let i = 1; i < n; i++) {
    if (id[order[i]] !== id[order[i - 1]]) continue;
    const first = graph.strings[graph.name[order[i - 1]]];
    throw new UserError(`a node "${first}" before it has the same id`, {
      at: place(graph, order[i], at),
    });
  }
  return order;
}

function require(graph: ExecutionGraph, r: number, bit: number, name: string, at: string): void {
  if ((graph.present[r] & bit) !== 0) return;
  const misread = graph.extra.get(r)?.some((attribute) => attribute.name === name);
  if (misread === true) {
    throw new UserError(`attribute ${name} has a kind that cannot be read as a number`, {
      at: place(graph, r, at),
    });
  }
  const message = `${nodeTypeName(graph.type[r])} without the attribute ${name}`;
  throw new UserError(message, { at: place(graph, r, at), ...dialectHint(graph, r) });
}

/** The dialects number node types differently, so one read as the other has messages without a size. */
function dialectHint(graph: ExecutionGraph, r: number): { hint?: string } {
  const type = graph.type[r];
  const isMessage = type === NodeType.commSend || type === NodeType.commRecv;
  if (!isMessage || (graph.present[r] & Attr.commSize) !== 0) return {};
  return { hint: 'if another program wrote the trace: --dialect llmservingsim, or upstream' };
}

/** Optional attributes by node type; of a kind that cannot be read they must not pass as absent. */
const optional: Readonly<Record<number, readonly string[]>> = {
  [NodeType.commSend]: ['is_cpu_op', 'comm_src'],
  [NodeType.commRecv]: ['is_cpu_op', 'comm_dst'],
  [NodeType.commColl]: ['is_cpu_op', 'pg_name', 'involved_dim'],
};

function refuseMisread(graph: ExecutionGraph, r: number, at: string): void {
  const names = optional[graph.type[r]] ?? ['is_cpu_op'];
  const misread = graph.extra.get(r)?.find(({ name }) => names.includes(name));
  if (misread === undefined) return;
  throw new UserError(`attribute ${misread.name} cannot be read from ${misread.kind}`, {
    at: place(graph, r, at),
  });
}

function operationOf(graph: ExecutionGraph, r: number, rules: NodeRules, at: string): number {
  if (rules.replayOnly) return Op.compute;
  const type = graph.type[r];
  if (graph.extra.size > 0) refuseMisread(graph, r, at);
  const onCpu = isCpuOp(graph, r);
  if (onCpu && type >= NodeType.commSend && type <= NodeType.commColl) {
    throw new UserError('communication node with is_cpu_op: it cannot run on the CPU', {
      at: place(graph, r, at),
    });
  }
  switch (type) {
    case NodeType.comp:
      if (rules.roofline === undefined || onCpu) return Op.compute;
      require(graph, r, Attr.numOps, 'num_ops', at);
      require(graph, r, Attr.tensorSize, 'tensor_size', at);
      return graph.tensorSizeBytes[r] === 0 ? Op.skip : Op.compute;
    case NodeType.commColl:
      require(graph, r, Attr.commType, 'comm_type', at);
      if (!rules.dimensions) refuseDimensions(graph, r, at);
      return collectiveOperation(graph, r, at);
    case NodeType.commSend:
      require(graph, r, Attr.commDst, 'comm_dst', at);
      require(graph, r, Attr.commSize, 'comm_size', at);
      require(graph, r, Attr.commTag, 'comm_tag', at);
      return Op.send;
    case NodeType.commRecv:
      require(graph, r, Attr.commSrc, 'comm_src', at);
      require(graph, r, Attr.commSize, 'comm_size', at);
      require(graph, r, Attr.commTag, 'comm_tag', at);
      return Op.receive;
    case NodeType.memLoad:
    case NodeType.memStore:
      require(graph, r, Attr.tensorSize, 'tensor_size', at);
      return Op.memory;
    case NodeType.pimComp:
      return Op.pim;
    default:
      return Op.skip;
  }
}

/** What cannot be honoured must not pass as a collective of everybody. A named group comes first anyway. */
function refuseDimensions(graph: ExecutionGraph, r: number, at: string): void {
  if ((graph.present[r] & Attr.involvedDim) === 0) return;
  const isAll = graph.involvedDims[r] === 2 ** graph.involvedDimCount[r] - 1;
  const group = graph.strings[graph.pgName[r]];
  if (isAll || (group !== '' && group !== '0')) return;
  throw new UserError('involved_dim chooses dimensions, and a cluster has none', {
    at: place(graph, r, at),
    hint: 'name a group (pg_name), or give the network with --network-configuration',
  });
}

function collectiveOperation(graph: ExecutionGraph, r: number, at: string): number {
  switch (collectiveNames[graph.commType[r]]) {
    case 'BROADCAST':
      return Op.delay;
    case 'ALL_REDUCE':
    case 'ALL_GATHER':
    case 'ALL_TO_ALL':
    case 'REDUCE_SCATTER':
      require(graph, r, Attr.commSize, 'comm_size', at);
      return Op.collective;
    default:
      throw new UserError(
        `collective ${collectiveNames[graph.commType[r]] ?? graph.commType[r]} is not supported`,
        {
          at: place(graph, r, at),
          hint: 'supported: ALL_REDUCE, ALL_GATHER, ALL_TO_ALL, REDUCE_SCATTER, BROADCAST',
        },
      );
  }
}

export function isCpuOp(graph: ExecutionGraph, r: number): boolean {
  return (graph.present[r] & Attr.isCpuOp) !== 0 && graph.isCpuOp[r] !== 0;
}

function slotOf(graph: ExecutionGraph, r: number, op: number, rules: NodeRules): number {
  if (isCpuOp(graph, r)) return Slot.cpu;
  const type = graph.type[r];
  if (type === NodeType.comp) return Slot.compute;
  if (type === NodeType.commRecv) return Slot.none;
  const memory = type === NodeType.memLoad || type === NodeType.memStore || op === Op.pim;
  return memory && rules.memorySlot === 'none' ? Slot.none : Slot.comm;
}

function statOf(graph: ExecutionGraph, r: number): number {
  if (isCpuOp(graph, r)) return Stat.none;
  switch (graph.type[r]) {
    case NodeType.comp:
      return Stat.compute;
    case NodeType.commSend:
    case NodeType.commRecv:
    case NodeType.commColl:
      return Stat.comm;
    case NodeType.memLoad:
    case NodeType.memStore:
    case NodeType.pimComp:
      return Stat.memory;
    default:
      return Stat.none;
  }
}

function durationOf(graph: ExecutionGraph, r: number, op: number, rules: NodeRules): number {
  const recorded = graph.durationNs[r];
  const replay = recorded === 0 ? rules.emptyDurationNs : recorded;
  if (op === Op.pim) return recorded;
  if (op !== Op.compute || rules.replayOnly) return replay;
  if (rules.roofline === undefined || isCpuOp(graph, r)) return replay;
  return rooflineNs(graph.numOps[r], graph.tensorSizeBytes[r], rules.roofline);
}

/** Time of a compute node bounded by memory or by arithmetic. 0/0 operations give 2^63 as there. */
function rooflineNs(
  numOps: number,
  sizeBytes: number,
  machine: { readonly bytesPerSecond: number; readonly opsPerSecond: number },
): number {
  const intensity = numOps / sizeBytes;
  const performance = Math.min(machine.bytesPerSecond * intensity, machine.opsPerSecond);
  const ns = (numOps / performance) * 1e9;
  if (Number.isNaN(ns)) return 2 ** 63;
  return Number.isFinite(ns) ? Math.trunc(ns) : 0;
}
