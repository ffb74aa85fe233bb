/**
 * Double binary tree all-reduce (Sanders, Speck and Träff, Parallel Computing 35(12), 2009): data goes
 * up one of two trees, is reduced at each inner node and comes down again. Messages carry the whole
 * data. NPUs end at different times.
 */
import { assert } from '@astrolabe/base';
import { Kind } from '../kernel/kinds.js';
import { memberAt, type Phase, type PhaseContext, type PhaseSpec } from './phase.js';

/** Parent and children of a member, as member indices; -1 = none. */
interface TreeNode {
  readonly parent: number;
  readonly left: number;
  readonly right: number;
}

const cache = new Map<string, readonly TreeNode[]>();

/**
 * The tree over `count` members (a power of two). The root has one child, a full binary tree; ids go
 * in order: the `max` tree's root is the last member, the other's the first.
 */
export function binaryTree(count: number, max: boolean): readonly TreeNode[] {
  const key = `${count}${max ? '+' : '-'}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  assert(Number.isInteger(Math.log2(count)), () => `tree over ${count} members`);
  const nodes: { parent: number; left: number; right: number }[] = Array.from(
    { length: count },
    () => ({ parent: -1, left: -1, right: -1 }),
  );
  const build = (low: number, high: number, parent: number): number => {
    const root = (low + high) / 2;
    nodes[root].parent = parent;
    if (low < high) {
      nodes[root].left = build(low, root - 1, root);
      nodes[root].right = build(root + 1, high, root);
    }
    return root;
  };
  if (max) {
    nodes[count - 1].left = build(0, count - 2, count - 1);
  } else {
    nodes[0].right = build(1, count - 1, 0);
  }
  cache.set(key, nodes);
  return nodes;
}

export function startTree(context: PhaseContext, phase: Phase): void {
  const spec = phase.spec as PhaseSpec;
  const { members, index } = spec;
  const node = binaryTree(members.count, spec.maxTree)[index];
  const id = (member: number): number => (member < 0 ? -1 : memberAt(members, member));
  phase.parent = id(node.parent);
  phase.childA = id(node.left);
  phase.childB = id(node.right);
  phase.reduced = 0;
  phase.received = 0;
  phase.messageBytes = spec.dataBytes;
  phase.reduceNs = context.reduceNs(phase.npu, spec.dataBytes);
  if (phase.childA < 0 && phase.childB < 0) {
    context.enter(phase, Kind.treeStartLeaf, true, false, false);
    return;
  }
  if (phase.childA >= 0) receive(context, phase, phase.childA, Kind.treeChild);
  if (phase.childB >= 0) receive(context, phase, phase.childB, Kind.treeChild);
}

export function treeEvent(context: PhaseContext, phase: Phase, kind: number): void {
  const size = phase.messageBytes;
  switch (kind) {
    case Kind.treeStartLeaf:
      context.send(phase, phase.parent, size);
      receive(context, phase, phase.parent, Kind.treeParent);
      break;
    case Kind.treeChild:
      childCame(context, phase);
      break;
    case Kind.treeChildEndpoint:
      after(context, phase, phase.reduceNs, Kind.treeChildReduced);
      break;
    case Kind.treeChildReduced:
      childReduced(context, phase);
      break;
    case Kind.treeParent:
      parentCame(context, phase);
      break;
    case Kind.treeLeafEnd:
      context.phaseEnded(phase);
      break;
    case Kind.treeParentEndpoint:
      after(context, phase, phase.reduceNs, Kind.treeParentReduced);
      break;
    case Kind.treeParentReduced:
      sendDown(context, phase);
      break;
    default:
      assert(false, () => `tree event of kind ${kind}`);
  }
}

/** The packet that completes a node's children goes on up. */
function childCame(context: PhaseContext, phase: Phase): void {
  phase.received++;
  const children = (phase.childA >= 0 ? 1 : 0) + (phase.childB >= 0 ? 1 : 0);
  const sendBack = phase.received === children;
  context.enter(phase, Kind.treeChildEndpoint, false, true, sendBack);
}

function childReduced(context: PhaseContext, phase: Phase): void {
  phase.reduced++;
  const children = (phase.childA >= 0 ? 1 : 0) + (phase.childB >= 0 ? 1 : 0);
  if (phase.reduced < children) return;
  if (phase.parent < 0) {
    sendDown(context, phase);
    return;
  }
  context.send(phase, phase.parent, phase.messageBytes);
  receive(context, phase, phase.parent, Kind.treeParent);
}

function parentCame(context: PhaseContext, phase: Phase): void {
  const leaf = phase.childA < 0 && phase.childB < 0;
  if (leaf) context.enter(phase, Kind.treeLeafEnd, false, false, false);
  else context.enter(phase, Kind.treeParentEndpoint, false, true, true);
}

function sendDown(context: PhaseContext, phase: Phase): void {
  if (phase.childA >= 0) context.send(phase, phase.childA, phase.messageBytes);
  if (phase.childB >= 0) context.send(phase, phase.childB, phase.messageBytes);
  context.phaseEnded(phase);
}

function after(context: PhaseContext, phase: Phase, delayNs: number, kind: number): void {
  context.core.after(phase.npu, delayNs, kind, phase.id);
}

function receive(context: PhaseContext, phase: Phase, from: number, kind: number): void {
  context.transport.receive(from, phase.npu, phase.tag, phase.messageBytes, kind, phase.id);
}
