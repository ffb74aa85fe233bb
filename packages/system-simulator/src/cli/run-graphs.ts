/**
 * Graph sets from a Chakra graph stream (or from control lines naming .et files) through the machine:
 * every request to run the clock (`advance_ns`, or a line `{"advanceNs": n}`) has exactly one answer,
 * the next completion by then or `{"advancedNs": n}`, and says `by` whom. At the end of input all that
 * is left runs.
 */
import { parseWith, UserError } from '@astrolabe/base';
import {
  openInput,
  ourName,
  readJson,
  readNdjson,
  Verdict,
  writeStdout,
} from '@astrolabe/base/cli';
import {
  advanceOf,
  type ClockRequest,
  clockRequestSchema,
  type Dialect,
  decodeGraph,
  type GraphSet,
  GraphSetGatherer,
  type Groups,
  graphFileName,
  graphFilesSchema,
  groupsSchema,
  readGraphs,
  withGroups,
} from '@astrolabe/chakra';
import { expandOperand, npuOfFile, openBytes, readGraphFile } from '@astrolabe/chakra/cli';
import type { AnsweredBy } from '../completion.js';
import type { Machine } from '../machine.js';
import type { StuckReport } from '../stuck.js';
import { timelessNote } from './timeless.js';

interface RunGraphsOptions {
  readonly machine: Machine;
  readonly inputs: readonly string[];
  /** The inputs are control lines naming files. */
  readonly control: boolean;
  readonly dialect: Dialect;
  /** Communicator groups of graphs that come with none. */
  readonly groups?: Groups;
  /** Called when all has run, before a deadlock is told. */
  readonly atEnd: () => Promise<void>;
}

/** @throws Verdict when something can never finish */
export async function runGraphs(options: RunGraphsOptions): Promise<void> {
  const { machine } = options;
  const source = options.control ? controlLines(options) : graphStream(options);
  let isFirst = true;
  for await (const item of source) {
    if (!('advanceNs' in item)) {
      // The first tells for all, and costs a live run nothing later.
      if (isFirst) tellTimeless(item);
      isFirst = false;
      machine.submit(item);
      continue;
    }
    const { advanceNs, writtenBy } = item;
    const completion = machine.runUntil(advanceNs);
    if (completion === undefined) refuseStuck(machine, advanceNs);
    const by: AnsweredBy = { traceGenerator: writtenBy, systemSimulator: ourName };
    await writeStdout(`${JSON.stringify({ ...(completion ?? { advancedNs: advanceNs }), by })}\n`);
  }
  for (;;) {
    const completion = machine.runUntil(Number.POSITIVE_INFINITY);
    if (completion === undefined) break;
    await writeStdout(`${JSON.stringify(completion)}\n`);
  }
  await options.atEnd();
  refuseStuck(machine, Number.POSITIVE_INFINITY);
}

function tellTimeless({ programs }: GraphSet): void {
  const graphs = programs.map(({ graph }) => graph);
  const note = timelessNote(graphs, 'no time on a cluster');
  if (note !== undefined) process.stderr.write(`system-simulator: ${note}\n`);
}

/** ASTRA-sim's groups file; any name of a group will do. @param path `empty` means none */
export function readGroups(path: string): Groups {
  return path === 'empty' ? {} : parseWith(groupsSchema, readJson(path), path);
}

/** Waiting for ever is told at once, with who waits for what. */
function refuseStuck(machine: Machine, untilNs: number): void {
  if (untilNs < Number.MAX_SAFE_INTEGER) return;
  const report = machine.stuck();
  if (report.stuck) throw new Verdict(deadlockMessage(report));
}

export function deadlockMessage({ nowNs, lines }: Pick<StuckReport, 'nowNs' | 'lines'>): string {
  const shown = lines.slice(0, 40).map((line) => `  ${line}`);
  const more = lines.length > shown.length ? [`  and ${lines.length - shown.length} more`] : [];
  return [`deadlock at ${nowNs} ns: nothing can happen any more`, ...shown, ...more].join('\n');
}

async function* graphStream(options: RunGraphsOptions): AsyncGenerator<GraphSet | ClockRequest> {
  const gatherer = new GraphSetGatherer(options.groups);
  let last = 'stdin';
  for (const input of options.inputs.flatMap(expandOperand)) {
    const at = input === '-' ? 'stdin' : input;
    last = at;
    let graphs = 0;
    for await (const graph of readGraphs(openBytes(input), { at, dialect: options.dialect })) {
      const fileNpu = graphs === 0 ? npuOfFile(input) : undefined;
      const place = `${at}: graph ${graphs++}`;
      const request = advanceOf(graph);
      if (request !== undefined) {
        yield request;
        continue;
      }
      const set = gatherer.push(graph, place, fileNpu);
      if (set !== undefined) yield set;
    }
    // A stage that has nothing to do writes nothing; a file without a graph is a mistake.
    if (graphs === 0 && input !== '-') throw new UserError('no Chakra graph in it', { at });
  }
  const rest = gatherer.end(last);
  if (rest !== undefined) yield rest;
}

async function* controlLines(options: RunGraphsOptions): AsyncGenerator<GraphSet | ClockRequest> {
  for (const input of options.inputs) {
    const name = input === '-' ? 'stdin' : input;
    for await (const { value, line } of readNdjson(openInput(input), name)) {
      const at = `${name}:${line}`;
      if (typeof value === 'object' && value !== null && 'advanceNs' in value) {
        yield parseWith(clockRequestSchema, value, at);
      } else {
        yield setFromFiles(value, at, options);
      }
    }
  }
}

function setFromFiles(
  value: unknown,
  at: string,
  { dialect, groups: given }: RunGraphsOptions,
): GraphSet {
  const files = parseWith(graphFilesSchema, value, at);
  const { instance, iteration, releaseNs, lane, groups, prefix, npus } = files;
  if (new Set(npus).size !== npus.length) throw new UserError('an NPU twice', { at });
  const programs = npus.map((npu) => {
    const path = graphFileName(prefix, npu);
    return { npus: [npu], graph: decodeGraph(readGraphFile(path), { at: path, dialect }) };
  });
  const own = withGroups(programs, { ...given, ...groups });
  return { instance, iteration, releaseNs, lane, ...own };
}
