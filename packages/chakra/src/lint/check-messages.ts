/**
 * Sends against receives over all NPUs: the k-th send of a (tag, source, destination, size) meets the
 * k-th receive of the same. What is left over is explained by its nearest relative.
 */
import { Attr } from '../graph.js';
import { NodeType } from '../node-type.js';
import type { ResolvedGraph } from './check-dependencies.js';
import type { Findings, LintInput } from './finding.js';

/** A node of an NPU's graph. */
export interface NodeRef {
  /** Index into the inputs. */
  readonly input: number;
  readonly node: number;
}

interface Message extends NodeRef {
  readonly src: number;
  readonly dst: number;
  readonly tag: number;
  readonly sizeBytes: number;
}

const complete = {
  [NodeType.commSend]: Attr.commDst | Attr.commSize | Attr.commTag,
  [NodeType.commRecv]: Attr.commSrc | Attr.commSize | Attr.commTag,
};

/** @returns matched pairs, send first */
export function checkMessages(
  inputs: readonly LintInput[],
  resolved: readonly ResolvedGraph[],
  findings: Findings,
): [NodeRef, NodeRef][] {
  const sends = new Map<string, Message[]>();
  const receives = new Map<string, Message[]>();
  for (const [index, input] of inputs.entries()) {
    for (const node of resolved[index].order) {
      const message = messageOf(input, index, node);
      if (message === undefined) continue;
      const { tag, src, dst, sizeBytes } = message;
      const table = input.graph.type[node] === NodeType.commSend ? sends : receives;
      const key = `${tag} ${src} ${dst} ${sizeBytes}`;
      const list = table.get(key);
      if (list === undefined) table.set(key, [message]);
      else list.push(message);
    }
  }
  const pairs: [NodeRef, NodeRef][] = [];
  const loneSends: Message[] = [];
  for (const [key, list] of sends) {
    const others = receives.get(key) ?? [];
    for (const [k, send] of list.entries()) {
      if (k < others.length) pairs.push([send, others[k]]);
      else loneSends.push(send);
    }
    receives.set(key, others.slice(list.length));
  }
  const loneReceives = [...receives.values()].flat();
  const npus = new Set(inputs.map((input) => input.npu));
  for (const send of loneSends) {
    const why = explain(send, loneReceives, 'receive', send.dst, npus);
    findings.add('unmatched-send', inputs[send.input], send.node, `${describe(send)}: ${why}`);
  }
  for (const receive of loneReceives) {
    const why = explain(receive, loneSends, 'send', receive.src, npus);
    const text = `${describe(receive)}: ${why}`;
    findings.add('unmatched-receive', inputs[receive.input], receive.node, text);
  }
  return pairs;
}

function messageOf(input: LintInput, index: number, node: number): Message | undefined {
  const { graph, npu } = input;
  const type = graph.type[node];
  if (type !== NodeType.commSend && type !== NodeType.commRecv) return undefined;
  const present = graph.present[node];
  const needed = complete[type];
  if ((present & needed) !== needed) return undefined;
  return {
    input: index,
    node,
    src: (present & Attr.commSrc) !== 0 ? graph.commSrc[node] : npu,
    dst: (present & Attr.commDst) !== 0 ? graph.commDst[node] : npu,
    tag: graph.commTag[node],
    sizeBytes: graph.commSizeBytes[node],
  };
}

function describe({ tag, src, dst, sizeBytes }: Message): string {
  return `tag ${tag}, ${src} -> ${dst}, ${sizeBytes} bytes`;
}

function explain(
  message: Message,
  others: readonly Message[],
  kind: string,
  peer: number,
  npus: ReadonlySet<number>,
): string {
  if (!npus.has(peer)) return `NPU ${peer} has no graph`;
  const { src, dst, tag, sizeBytes } = message;
  const sameEnds = others.filter((other) => other.src === src && other.dst === dst);
  const otherSize = sameEnds.find((other) => other.tag === tag);
  if (otherSize !== undefined) return `the ${kind} has ${otherSize.sizeBytes} bytes`;
  const otherTag = sameEnds.find((other) => other.sizeBytes === sizeBytes);
  if (otherTag !== undefined) return `the ${kind} has tag ${otherTag.tag}`;
  const otherEnds = others.find((other) => other.tag === tag && other.sizeBytes === sizeBytes);
  if (otherEnds !== undefined) return `the ${kind} goes ${otherEnds.src} -> ${otherEnds.dst}`;
  return `no ${kind} for it`;
}
