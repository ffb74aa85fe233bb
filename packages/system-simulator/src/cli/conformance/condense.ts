/** Writes the condensed golden table from a directory of golden cases. */
import { join } from 'node:path';
import { parseWith } from '@astrolabe/base';
import { openInput, readNdjson, writeFileWhole } from '@astrolabe/base/cli';
import { condenseGraph, signatureOf } from './condensed.js';
import { type GoldenCase, goldenCaseSchema } from './golden-case.js';
import { answerCase, caseInputs, GraphFolder, judge } from './run-case.js';

/** Keys of the system file without effect. */
const unread = ['scheduling-policy', 'boost-mode', 'trace-enabled'];

/** Of the cases that differ in kind, one in this many is kept. */
const every = 3;

/** @returns the number of cases written */
export async function condense(source: string, path: string, maxNodes = 60): Promise<number> {
  const folder = new GraphFolder(join(source, 'workloads'));
  const cases = join(source, 'cases.jsonl.gz');
  const seen = new Set<string>();
  const graphs = new Map<string, string>();
  const lines: string[] = [];
  for await (const { value, line } of readNdjson(openInput(cases), cases)) {
    const golden = parseWith(goldenCaseSchema, value, `${cases}:${line}`);
    if (golden.expect.outcome !== 'ok' && golden.expect.outcome !== 'ok_nostats') continue;
    const signature = signatureOf(golden);
    if (seen.has(signature) || judge(golden, answerCase(golden, folder)) !== undefined) continue;
    seen.add(signature);
    if (seen.size % every !== 0) continue;
    const found = condensedGraphs(golden, folder, maxNodes);
    if (found === undefined) continue;
    for (const [name, text] of found) graphs.set(name, text);
    const { id, table, backend, network, system, workload, spmd, flags, groups, remote } = golden;
    const { expect } = golden;
    for (const key of unread) delete (system as Record<string, unknown>)[key];
    lines.push(
      JSON.stringify({
        id,
        table,
        backend,
        network,
        system,
        workload,
        spmd,
        flags,
        groups,
        remote,
        expect,
      }),
    );
  }
  writeFileWhole(path, `${[...graphs.values(), ...lines].join('\n')}\n`);
  return lines.length;
}

function condensedGraphs(
  golden: GoldenCase,
  folder: GraphFolder,
  maxNodes: number,
): Map<string, string> | undefined {
  const found = new Map<string, string>();
  const { graphs } = caseInputs(golden, folder);
  for (let npu = 0; npu < (golden.spmd ? 1 : graphs.length); npu++) {
    const name = golden.spmd ? `${golden.workload}.et` : `${golden.workload}.${npu}.et`;
    const nodes = graphs[npu].nodeCount > maxNodes ? undefined : condenseGraph(graphs[npu]);
    if (nodes === undefined) return undefined;
    found.set(name, JSON.stringify({ graph: name, nodes }));
  }
  return found;
}
