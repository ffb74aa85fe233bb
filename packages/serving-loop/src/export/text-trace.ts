/**
 * One iteration as LLMServingSim's text trace: a row an operator, with its time, where its input,
 * weights and output lie and how many bytes they are, and the collective behind it. Times ns, bytes.
 * Columns and headings as its trace generator writes them (serving notes 5.9).
 */
import { CollectiveType, type ExecutionGraph, type GraphSet, NodeType } from '@astrolabe/chakra';
import type { Instance } from '@astrolabe/config';
import type { Iteration } from '@astrolabe/trace-generator';
import { operatorOf, shapesOf } from './annotate.js';
import { type BatchShape, operatorWork } from './operator-work.js';

const columns = [
  'Layername',
  'comp_time',
  'input_loc',
  'input_size',
  'weight_loc',
  'weight_size',
  'output_loc',
  'output_size',
  'comm_type',
  'comm_size',
  'misc',
] as const;
const nameWidth = 30;
const width = 15;

const collectiveNames: Partial<Record<number, string>> = {
  [CollectiveType.allReduce]: 'ALLREDUCE',
  [CollectiveType.allGather]: 'ALLGATHER',
  [CollectiveType.reduceScatter]: 'REDUCESCATTER',
  [CollectiveType.allToAll]: 'ALLTOALL',
};

const modes = { prefill: 'PREFILL', decode: 'DECODE', colocated: 'COLOCATED' } as const;

interface Row {
  name: string;
  timeNs: number;
  inputBytes: number;
  weightBytes: number;
  outputBytes: number;
  commType: string;
  commBytes: number;
}

/** The first rank of each stage stands for all, as in the original. */
export function textTrace(set: GraphSet, iteration: Iteration, instance: Instance): string {
  const shapeOf = shapesOf(iteration, instance);
  const rows: Row[] = [];
  const boundaries: number[] = [];
  for (let stage = 0; stage < instance.pp; stage++) {
    const npu = instance.npus[stage * instance.tp];
    const program = set.programs.find(({ npus }) => npus.includes(npu));
    if (program !== undefined) addRows(rows, program.graph, instance, shapeOf);
    if (stage < instance.pp - 1) boundaries.push(rows.length);
  }
  const stages = boundaries.length === 0 ? '' : `\t\tpp_stage_boundaries: ${boundaries.join(',')}`;
  const host = `REMOTE:${instance.node}`;
  const first = rows.findIndex(({ inputBytes }) => inputBytes > 0);
  const lines = [
    `${modes[instance.role]}\t\tmodel_parallel_NPU_group: ${instance.pp}${stages}`,
    String(rows.length),
    line(columns),
    ...rows.map((row, index) =>
      line([
        `${row.name}_${index}`,
        row.timeNs,
        index === first ? host : 'LOCAL',
        row.inputBytes,
        'LOCAL',
        row.weightBytes,
        index === rows.length - 1 ? host : 'LOCAL',
        row.outputBytes,
        row.commType,
        row.commBytes,
        'NONE',
      ]),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function addRows(
  rows: Row[],
  graph: ExecutionGraph,
  instance: Instance,
  shapeOf: (name: string) => BatchShape,
): void {
  for (let node = 0; node < graph.nodeCount; node++) {
    const type = graph.type[node];
    if (type === NodeType.comp) {
      const name = graph.strings[graph.name[node]];
      const work = operatorWork(operatorOf(name), instance, shapeOf(name));
      rows.push({
        name,
        timeNs: graph.durationNs[node],
        inputBytes: Math.round(work?.inputBytes ?? 0),
        weightBytes: Math.round(work?.weightBytes ?? 0),
        outputBytes: Math.round(work?.outputBytes ?? 0),
        commType: 'NONE',
        commBytes: 0,
      });
      continue;
    }
    const last = rows.at(-1);
    const collective = collectiveNames[graph.commType[node]];
    if (type !== NodeType.commColl || last === undefined || collective === undefined) continue;
    last.commType = collective;
    last.commBytes = graph.commSizeBytes[node];
  }
}

function line(cells: readonly (string | number)[]): string {
  const [name, ...rest] = cells.map(String);
  return `${name.padEnd(nameWidth - 1)} ${rest.map((cell) => `${cell.padEnd(width - 1)} `).join('')}`;
}
