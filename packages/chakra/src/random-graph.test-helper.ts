/** A random graph from a seeded generator: every column, extras, any dependency order. */
import type { Random } from '@astrolabe/base';
import { type ExecutionGraph, GraphBuilder, type NodeType } from './index.js';

/** @param wild also odd sizes: ids near 2^53, negative sizes, unknown attributes. */
export function randomGraph(random: Random, wild = true): ExecutionGraph {
  const builder = new GraphBuilder(4);
  const count = random.below(12);
  const big = (): number => (random.below(2) === 0 ? random.below(300) : randomSafe(random));
  for (let i = 0; i < count; i++) {
    const type = (1 + random.below(8)) as NodeType;
    const node = builder.addNode(type, random.below(4) === 0 ? '' : `n${random.below(6)} \u00fc`);
    builder.setId(node, wild ? big() : i);
    builder.setDuration(node, random.below(2) === 0 ? random.below(5) * 1000 : big());
    if (random.below(2) === 0) builder.setCpuOp(node, random.below(2) === 0);
    if (random.below(2) === 0) builder.setNumOps(node, big());
    if (random.below(2) === 0) builder.setTensorSize(node, big());
    if (random.below(3) === 0) builder.setTensorLocation(node, random.below(5), 1, random.below(9));
    if (random.below(3) === 0) builder.setCollective(node, random.below(10), wild ? -big() : 8);
    if (random.below(3) === 0) builder.setGroup(node, `${random.below(3)}`);
    if (random.below(3) === 0) builder.setInvolvedDims(node, random.below(16), 4);
    if (random.below(3) === 0) builder.setPriority(node, random.below(9) - 4);
    if (random.below(3) === 0) builder.setPointToPoint(node, 0, 1, -random.below(99), big());
    if (random.below(3) === 0) {
      builder.addExtra(node, { name: 'op_schema', kind: 'string_val', value: 'a\u0000b' });
      builder.addExtra(node, { name: 'rf_id', kind: 'sint64_list', value: [-1, 2 ** 40] });
    }
  }
  for (let edge = 0; edge < count; edge++) {
    const child = random.below(count);
    const parent = random.below(count);
    if (random.below(2) === 0) builder.addDep(child, parent);
    else builder.addCtrlDep(child, parent);
  }
  return builder.finish();
}

function randomSafe(random: Random): number {
  return Math.floor(random.uniform() * (Number.MAX_SAFE_INTEGER / 1000)) * 10 ** random.below(4);
}
