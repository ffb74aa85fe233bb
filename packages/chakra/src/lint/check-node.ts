/** Rules about a node by itself: type, attributes, sizes, endpoints. */
import { unknownTypeOf } from '../dialect.js';
import { Attr, type ExecutionGraph } from '../graph.js';
import { knownAttributes } from '../known-attributes.js';
import { CollectiveType, collectiveNames, NodeType, nodeTypeNames } from '../node-type.js';
import type { Findings, LintInput } from './finding.js';

/** Which simulator the trace must run on; `any`: rules that hold for all. */
export const lintTargets = ['any', 'astra-sim', 'llmservingsim'] as const;
export type LintTarget = (typeof lintTargets)[number];

const attributeOfBit = new Map(knownAttributes.map((attribute) => [attribute.bit, attribute.name]));
const knownNames = new Map(knownAttributes.map((attribute) => [attribute.name, attribute]));

/** Attributes without which a node of the type cannot run, as bits. */
const required: Partial<Record<number, number>> = {
  [NodeType.memLoad]: Attr.tensorSize,
  [NodeType.memStore]: Attr.tensorSize,
  [NodeType.commColl]: Attr.commType | Attr.commSize,
  [NodeType.commSend]: Attr.commDst | Attr.commSize | Attr.commTag,
  [NodeType.commRecv]: Attr.commSrc | Attr.commSize | Attr.commTag,
};

const supported: readonly number[] = [
  CollectiveType.allReduce,
  CollectiveType.allGather,
  CollectiveType.broadcast,
  CollectiveType.allToAll,
  CollectiveType.reduceScatter,
];

function isCommunication(type: number): boolean {
  return type >= NodeType.commSend && type <= NodeType.commColl;
}

export function checkNode(
  input: LintInput,
  node: number,
  target: LintTarget,
  findings: Findings,
): void {
  const { graph } = input;
  const type = graph.type[node];
  const present = graph.present[node];
  const unknown = unknownTypeOf(type);
  if (unknown !== undefined) {
    const hint = unknown === 8 ? ' (COMM_COLL with --dialect llmservingsim)' : '';
    const message = `node type ${unknown} is not in the enum${hint}`;
    findings.add('unknown-node-type', input, node, message);
    return;
  }
  if (type === NodeType.invalid) {
    findings.add('invalid-node', input, node, 'the type is INVALID: the node does nothing');
  }
  checkMisfits(input, node, findings);
  let missing = (required[type] ?? 0) & ~present;
  // A replayed broadcast has a duration instead of a size.
  if (graph.commType[node] === CollectiveType.broadcast) missing &= ~Attr.commSize;
  for (let bit = 1; bit <= missing; bit <<= 1) {
    const name = attributeOfBit.get(bit);
    if ((missing & bit) === 0 || isMisfit(graph, node, name)) continue;
    findings.add('missing-attribute', input, node, `${nodeTypeNames[type]} needs ${name}`);
  }
  if (type === NodeType.commColl) checkCollective(input, node, findings);
  if (type === NodeType.commSend || type === NodeType.commRecv) {
    checkEndpoints(input, node, findings);
  }
  if (isCommunication(type)) {
    if (graph.isCpuOp[node] === 1) {
      findings.add('cpu-communication', input, node, 'a communication node with is_cpu_op true');
    }
    checkSize(input, node, present & Attr.commSize, graph.commSizeBytes[node], findings);
  } else if (type === NodeType.memLoad || type === NodeType.memStore) {
    checkSize(input, node, present & Attr.tensorSize, graph.tensorSizeBytes[node], findings);
  } else if (type === NodeType.comp || type === NodeType.pimComp) {
    const hasWork = (present & (Attr.numOps | Attr.tensorSize)) !== 0;
    if (graph.durationNs[node] === 0 && !hasWork) {
      findings.add(
        'zero-duration',
        input,
        node,
        'compute without duration, num_ops or tensor_size',
      );
    }
  }
  if (target !== 'any') checkTarget(input, node, target, findings);
}

function isMisfit(graph: ExecutionGraph, node: number, name: string | undefined): boolean {
  return graph.extra.get(node)?.some((attribute) => attribute.name === name) ?? false;
}

/** Typed attributes that stayed in `extra`: unreadable, unless an earlier one was read. */
function checkMisfits(input: LintInput, node: number, findings: Findings): void {
  const { graph } = input;
  for (const attribute of graph.extra.get(node) ?? []) {
    const known = knownNames.get(attribute.name);
    if (known === undefined || known.bit === 0 || (graph.present[node] & known.bit) !== 0) continue;
    const value = typeof attribute.value === 'number' ? ` ${attribute.value}` : '';
    const message = `${attribute.name} as ${attribute.kind}${value} cannot be read`;
    findings.add('attribute-kind', input, node, message);
  }
}

function checkCollective(input: LintInput, node: number, findings: Findings): void {
  const { graph } = input;
  const present = graph.present[node];
  const commType = graph.commType[node];
  if ((present & Attr.commType) !== 0 && !supported.includes(commType)) {
    const name = collectiveNames[commType];
    if (name === undefined) {
      findings.add('unknown-collective', input, node, `comm_type ${commType} is not in the enum`);
    } else findings.add('unsupported-collective', input, node, `${name} runs nowhere`);
  }
  if ((present & Attr.involvedDim) !== 0 && graph.involvedDims[node] === 0) {
    findings.add('no-dimension', input, node, 'involved_dim has no dimension switched on');
  }
}

function checkEndpoints(input: LintInput, node: number, findings: Findings): void {
  const { graph, npu } = input;
  const present = graph.present[node];
  const isSend = graph.type[node] === NodeType.commSend;
  const [ownBit, own, otherBit, other] = isSend
    ? [Attr.commSrc, graph.commSrc[node], Attr.commDst, graph.commDst[node]]
    : [Attr.commDst, graph.commDst[node], Attr.commSrc, graph.commSrc[node]];
  if ((present & ownBit) !== 0 && own !== npu) {
    const what = isSend ? 'comm_src' : 'comm_dst';
    findings.add('wrong-endpoint', input, node, `${what} is ${own} in the graph of NPU ${npu}`);
  }
  if ((present & otherBit) !== 0 && other === npu) {
    findings.add('self-message', input, node, `a message from NPU ${npu} to itself`);
  }
}

function checkSize(
  input: LintInput,
  node: number,
  isPresent: number,
  sizeBytes: number,
  findings: Findings,
): void {
  if (isPresent === 0) return;
  if (sizeBytes < 0) findings.add('negative-size', input, node, `a size of ${sizeBytes} bytes`);
  else if (sizeBytes === 0) findings.add('zero-size', input, node, 'a transfer of 0 bytes');
}

/** One finding a graph: profiled times are hardly ever whole microseconds, so it is all nodes or none. */
export function checkRounding(input: LintInput, findings: Findings): void {
  const { durationNs, nodeCount } = input.graph;
  let [first, count] = [0, 0];
  for (let node = 0; node < nodeCount; node++) {
    if (durationNs[node] % 1000 !== 0 && count++ === 0) first = node;
  }
  if (count === 0) return;
  const others = count === 1 ? '' : `, as are those of ${count - 1} other nodes`;
  const message = `${durationNs[first]} ns is rounded to whole microseconds${others}`;
  findings.add('rounded-duration', input, first, message);
}

function checkTarget(input: LintInput, node: number, target: LintTarget, findings: Findings): void {
  const { graph } = input;
  const type = graph.type[node];
  if (target === 'astra-sim') {
    const group = graph.strings[graph.pgName[node]];
    if ((graph.present[node] & Attr.pgName) !== 0 && !/^\d*$/.test(group)) {
      findings.add('group-name', input, node, `pg_name "${group}" is not an integer`);
    }
    if (type === NodeType.metadata) {
      findings.add('metadata-node', input, node, 'METADATA nodes abort ASTRA-sim');
    }
    if (type === NodeType.pimComp) findings.add('pim-node', input, node, 'ASTRA-sim has no PIM');
    return;
  }
  if (graph.ctrlDepStart[node] !== graph.ctrlDepStart[node + 1]) {
    findings.add('control-dependency', input, node, 'ctrl_deps are ignored by LLMServingSim');
  }
  const deps = graph.dataDep.subarray(graph.dataDepStart[node], graph.dataDepStart[node + 1]);
  if (new Set(deps).size !== deps.length) {
    findings.add('duplicate-dependency', input, node, 'a data_dep given twice');
  }
  const isMemory = type === NodeType.memLoad || type === NodeType.memStore;
  if (isMemory && (graph.tensorLoc[node] < 1 || graph.tensorLoc[node] > 4)) {
    findings.add('tensor-location', input, node, `tensor_loc is ${graph.tensorLoc[node]}`);
  }
}
