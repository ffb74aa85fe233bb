/**
 * What the Chakra codec costs per node: user CPU time, best of several rounds. Run by hand:
 * `npm run build && node tools/dist/bench-chakra.js`. The graph is an iteration as the trace
 * generator makes it: 300 nodes, three in four compute with is_cpu_op, num_ops and tensor_size, the
 * rest collectives with is_cpu_op, comm_type and comm_size; a name and a dependency each.
 */
import { readFileSync } from 'node:fs';
import {
  decodeGraph,
  type ExecutionGraph,
  encodeGraph,
  GraphBuilder,
  GraphStreamDecoder,
  NodeType,
} from '@astrolabe/chakra';
import { reflectSchema } from '@astrolabe/chakra/reflect';

const nodeCount = 300;
const rounds = 15;

const names = Array.from({ length: nodeCount }, (_, i) => `layer${i >> 3}.mlp_gate_up_${i & 7}`);
const builder = new GraphBuilder();

function fill(): void {
  builder.reset();
  for (let i = 0; i < nodeCount; i++) {
    const isCollective = i % 4 === 3;
    const node = builder.addNode(isCollective ? NodeType.commColl : NodeType.comp, names[i]);
    builder.setCpuOp(node, false);
    if (isCollective) builder.setCollective(node, 0, 1_048_576 + i);
    else {
      builder.setDuration(node, 12_000 + 1000 * i);
      builder.setNumOps(node, 1e9 + i);
      builder.setTensorSize(node, 1e7 + i);
    }
    if (i > 0) builder.addDep(node, node - 1);
  }
}

function build(): ExecutionGraph {
  fill();
  return builder.finish();
}

/** Best user CPU time of a call, ns per node. */
function measure(label: string, calls: number, work: () => unknown): void {
  let bestNs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage().user;
    for (let i = 0; i < calls; i++) work();
    bestNs = Math.min(bestNs, ((process.cpuUsage().user - before) * 1000) / calls / nodeCount);
  }
  process.stdout.write(`${label.padEnd(42)} ${bestNs.toFixed(0).padStart(6)} ns/node\n`);
}

const graph = build();
const bytes = encodeGraph(graph);
process.stdout.write(`${nodeCount} nodes, ${(bytes.length / nodeCount).toFixed(0)} bytes each\n`);
measure('build, view of the columns', 2000, () => {
  fill();
  return builder.view();
});
measure('build, own columns', 2000, build);
measure('encode', 1000, () => encodeGraph(graph));
const decoder = new GraphStreamDecoder();
measure('decode, graphs of one stream', 1000, () => decoder.push(bytes));
const pieces = new GraphStreamDecoder();
measure('decode, stream in chunks of 4 KiB', 1000, () => {
  for (let at = 0; at < bytes.length; at += 4096) pieces.push(bytes.subarray(at, at + 4096));
});
measure('decode, a file by itself', 500, () => decodeGraph(bytes));
const schema = reflectSchema(
  readFileSync(new URL('../../proto/et_def.proto', import.meta.url), 'utf8'),
);
const trace = schema.decode(bytes);
measure('encode by reflection', 50, () => schema.encode(trace));
measure('decode by reflection', 50, () => schema.decode(bytes));
