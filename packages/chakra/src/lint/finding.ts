/** What lint says: a rule, a sentence and the node it is about. */
import type { ExecutionGraph } from '../graph.js';

/** error: the run stops, hangs or is wrong. warning: it runs, and is likely not what was meant. */
export type Severity = 'error' | 'warning';

/** Every rule with its severity and what it means. The order is that of the documentation. */
export const lintRules = {
  'empty-graph': ['error', 'a file without nodes (ASTRA-sim aborts)'],
  'duplicate-id': ['error', 'two nodes of one graph share an id'],
  'orphan-dependency': ['error', 'a dependency on an id that the graph does not have'],
  cycle: ['error', 'nodes that wait for each other'],
  'unknown-node-type': ['error', 'a node type that the dialect does not define'],
  'invalid-node': ['warning', 'type INVALID: the node does nothing'],
  'missing-attribute': ['error', 'an attribute that this node type needs'],
  'attribute-kind': ['error', 'a typed attribute in a kind or size that cannot be read'],
  'unknown-collective': ['error', 'a comm_type beyond the enum'],
  'unsupported-collective': ['error', 'a collective that no simulator runs'],
  'cpu-communication': ['error', 'a communication node marked is_cpu_op (ASTRA-sim throws)'],
  'zero-duration': ['warning', 'a compute node with neither time nor work'],
  'zero-size': ['warning', 'a transfer of no bytes'],
  'negative-size': ['error', 'a transfer of a negative number of bytes'],
  'no-dimension': ['error', 'involved_dim switches every dimension off'],
  'wrong-endpoint': ['error', 'a send whose source, or receive whose destination, is another NPU'],
  'self-message': ['error', 'a send or receive to or from the NPU itself'],
  'missing-rank': ['error', 'an NPU without a graph'],
  'duplicate-rank': ['error', 'two graphs for one NPU in one iteration'],
  'unmatched-send': ['error', 'no receive with its tag, source, destination and size'],
  'unmatched-receive': ['error', 'no send with its tag, source, destination and size'],
  'unknown-group': ['error', 'a communicator group without members'],
  'not-a-member': ['error', 'a collective on an NPU outside its group'],
  'group-of-one': ['error', 'a group of one NPU (ASTRA-sim hangs)'],
  'group-members': ['error', 'a group that lists an NPU twice'],
  'collective-participants': ['error', 'members run different numbers of collectives of a group'],
  'collective-order': ['error', 'members run the collectives of a group in different order'],
  'collective-type': ['error', 'members run different collectives as the same one of a group'],
  'collective-size': ['error', 'members give different sizes for the same collective'],
  'collective-dimensions': ['error', 'members give different involved_dim'],
  deadlock: ['error', 'NPUs that wait for each other through sends or collectives'],
  'group-name': ['error', 'target astra-sim: pg_name must be an integer >= 0'],
  'metadata-node': ['error', 'target astra-sim: METADATA nodes abort'],
  'pim-node': ['error', 'target astra-sim: no PIM nodes'],
  'rounded-duration': ['warning', 'target astra-sim: only whole microseconds survive'],
  'control-dependency': ['warning', 'target llmservingsim: ctrl_deps are ignored'],
  'duplicate-dependency': ['error', 'target llmservingsim: a repeated data_dep never resolves'],
  'tensor-location': ['error', 'target llmservingsim: memory nodes need tensor_loc 1 to 4'],
} as const satisfies Record<string, readonly [Severity, string]>;

export type LintRule = keyof typeof lintRules;

export interface Finding {
  readonly rule: LintRule;
  readonly severity: Severity;
  readonly message: string;
  /** File or graph of the stream. */
  readonly at: string;
  readonly npu?: number;
  /** 0-based place of the node in its graph. */
  readonly node?: number;
  readonly id?: number;
  readonly name?: string;
}

/** One NPU's graph. */
export interface LintInput {
  readonly graph: ExecutionGraph;
  readonly npu: number;
  /** File or graph of the stream, for findings. */
  readonly at: string;
}

/** Collects findings up to a limit per rule, so that one mistake made everywhere stays readable. */
export class Findings {
  readonly list: Finding[] = [];
  /** Findings not listed because of the limit. */
  dropped = 0;
  private readonly countOf = new Map<LintRule, number>();
  private readonly limitPerRule: number;

  constructor(limitPerRule: number) {
    this.limitPerRule = limitPerRule;
  }

  /** @param node index, undefined for the graph as a whole */
  add(
    rule: LintRule,
    input: LintInput | undefined,
    node: number | undefined,
    message: string,
  ): void {
    const count = (this.countOf.get(rule) ?? 0) + 1;
    this.countOf.set(rule, count);
    if (count > this.limitPerRule) {
      this.dropped++;
      return;
    }
    const severity = lintRules[rule][0];
    if (input === undefined) {
      this.list.push({ rule, severity, message, at: 'input' });
      return;
    }
    const { graph, npu, at } = input;
    this.list.push(
      node === undefined
        ? { rule, severity, message, at, npu }
        : {
            rule,
            severity,
            message,
            at,
            npu,
            node,
            id: graph.id[node],
            name: graph.strings[graph.name[node]],
          },
    );
  }
}

/** One line: `trace.0.et: node 3 (id 17 "gemm"): error: ... [rule]`. */
export function formatFinding(finding: Finding): string {
  const { at, node, id, name, severity, message, rule } = finding;
  const place = node === undefined ? '' : `: node ${node} (id ${id}${name ? ` "${name}"` : ''})`;
  return `${at}${place}: ${severity}: ${message} [${rule}]`;
}
