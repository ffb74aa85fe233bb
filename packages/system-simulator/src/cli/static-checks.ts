/** The checks of `chakra lint` before a run, for what would stop or falsify it here. */
import { formatFinding, type LintRule, lint } from '@astrolabe/chakra';
import type { AstraInputs } from '../astra/inputs.js';

/** Above this many nodes the checks would take longer than the run; it reports stalls itself. */
const maxNodes = 400_000;

/** One line per error. */
export function staticFindings(inputs: AstraInputs): string[] {
  const { graphs, graphName, groups, network, repairs, backend } = inputs;
  const nodes = graphs.reduce((sum, graph) => sum + graph.nodeCount, 0);
  if (nodes > maxNodes) return [];
  const harmless = new Set<LintRule>();
  if (repairs.loneMembers) {
    harmless.add('group-of-one');
    harmless.add('no-dimension');
  }
  if (backend === 'congestion-aware' && network.topology[0] === 'Switch') {
    harmless.add('self-message');
  }
  const named = [...groups].map(([id, members]) => [String(id), members] as const);
  const { findings } = lint(
    graphs.map((graph, npu) => ({ graph, npu, at: graphName(npu) })),
    {
      groups: Object.fromEntries(named),
      npuCount: graphs.length,
      npusPerDim: network.npus_count,
    },
  );
  return findings
    .filter(({ severity, rule }) => severity === 'error' && !harmless.has(rule))
    .map(formatFinding);
}
