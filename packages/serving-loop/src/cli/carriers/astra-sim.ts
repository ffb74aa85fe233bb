/**
 * `--carrier astra-sim`: stock ASTRA-sim as the machine. It simulates one set of traces from time 0 and
 * ends, so each iteration is a run of its own: files written, binary run, `sys[i] finished` read. An
 * iteration starts when it is released and its NPUs are done with the one before. What such runs
 * cannot show: contention between instances, overlap of pipeline stages, transfers between instances.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { makeFolder } from '@astrolabe/base/cli';
import { encodeGraph, type GraphSet, NodeType } from '@astrolabe/chakra';
import type { Completion, Counters } from '@astrolabe/system-simulator';
import type { Iteration, TraceGenerator, Transfer } from '@astrolabe/trace-generator';
import type { Backend } from '../../backend.js';
import {
  type AstraInputs,
  type AstraReport,
  astraGraphs,
  commGroupsJson,
  parseAstraReport,
} from '../../carriers/astra-inputs.js';
import { takeEarliest } from '../../carriers/take-earliest.js';
import { LineSplitter } from './line-splitter.js';
import { Stage, type StageCommand } from './stage.js';

interface AstraSimOptions {
  readonly generator: TraceGenerator;
  readonly command: StageCommand;
  readonly inputs: AstraInputs;
  /** Traces and configurations go here, one folder an iteration. */
  readonly folder: string;
  readonly keep: boolean;
  readonly timeoutMs: number;
}

interface Started {
  readonly set: GraphSet;
  readonly reports: Promise<readonly AstraReport[]>;
}

export class AstraSimBackend implements Backend {
  private readonly options: AstraSimOptions;
  private readonly flags: readonly string[];
  private readonly started: Started[] = [];
  /** Completions to come, in order of submission. */
  private readonly finished: Completion[] = [];
  private readonly freeNs = new Map<number, number>();
  private readonly stages = new Set<Stage>();

  constructor(options: AstraSimOptions) {
    this.options = options;
    this.flags = writeConfiguration(options);
  }

  submit(iteration: Iteration): void {
    const set = this.options.generator.generate(iteration);
    const reports = this.run(set);
    // Awaited in `next`; until then a failure is nobody's.
    reports.catch(() => {});
    this.started.push({ set, reports });
  }

  transfer(_transfer: Transfer): void {
    throw new UserError('transfers between instances need --carrier pipe', { at: 'astra-sim' });
  }

  async next(untilNs: number): Promise<Completion | undefined> {
    for (const { set, reports } of this.started.splice(0)) {
      this.finished.push(this.complete(set, await reports));
    }
    return takeEarliest(this.finished, untilNs);
  }

  async close(): Promise<Counters | undefined> {
    return undefined;
  }

  async abort(): Promise<void> {
    for (const stage of this.stages) stage.kill();
    await Promise.all([...this.stages].map((stage) => stage.ended));
  }

  private async run(set: GraphSet): Promise<readonly AstraReport[]> {
    const { inputs, folder, keep } = this.options;
    const place = join(folder, `${set.instance}.${set.iteration}`);
    makeFolder(place);
    astraGraphs(set, inputs.numNpus).forEach((graph, npu) => {
      writeFileSync(join(place, `step.${npu}.et`), encodeGraph(graph));
    });
    const flags = [`--workload-configuration=${join(place, 'step')}`];
    if (Object.keys(set.groups).length > 0) {
      const groups = join(place, 'groups.json');
      writeFileSync(groups, commGroupsJson(set.groups));
      flags.push(`--comm-group-configuration=${groups}`);
    }
    const reports = await this.start(set, flags);
    if (!keep) rmSync(place, { recursive: true, force: true });
    return reports;
  }

  private async start(set: GraphSet, flags: readonly string[]): Promise<readonly AstraReport[]> {
    const { command, timeoutMs } = this.options;
    const words = [...command.words, ...this.flags, ...flags];
    const stage = new Stage('astra-sim', { words, foreign: command.foreign });
    this.stages.add(stage);
    const reports: AstraReport[] = [];
    const splitter = new LineSplitter();
    stage.output.setEncoding('utf8');
    stage.output.on('data', (text: string) => {
      for (const line of splitter.push(text)) {
        const report = parseAstraReport(line);
        if (report !== undefined) reports.push(report);
      }
    });
    stage.input.end();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      stage.kill();
    }, timeoutMs);
    const end = await stage.ended;
    clearTimeout(timer);
    this.stages.delete(stage);
    const last = parseAstraReport(splitter.rest);
    if (last !== undefined) reports.push(last);
    if (late) throw stage.error(`did not end within ${timeoutMs / 1000} s`, 'see --stage-timeout');
    if (end.code !== 0) throw stage.error(stage.describeEnd(end));
    return this.checked(set, reports, stage);
  }

  private checked(
    set: GraphSet,
    reports: readonly AstraReport[],
    stage: Stage,
  ): readonly AstraReport[] {
    const byNpu = new Map(reports.map((report) => [report.npu, report]));
    return set.programs
      .flatMap(({ npus }) => npus)
      .sort((a, b) => a - b)
      .map((npu) => {
        const report = byNpu.get(npu);
        if (report !== undefined) return report;
        throw stage.error(
          `printed no "sys[${npu}] finished" line for iteration ${set.iteration} of instance ` +
            `${set.instance}`,
        );
      });
  }

  private complete(set: GraphSet, reports: readonly AstraReport[]): Completion {
    let startNs = set.releaseNs;
    for (const { npu } of reports) startNs = Math.max(startNs, this.freeNs.get(npu) ?? 0);
    let latestNs = 0;
    for (const { npu, finishNs } of reports) {
      this.freeNs.set(npu, startNs + finishNs);
      latestNs = Math.max(latestNs, finishNs);
    }
    return {
      instance: set.instance,
      iteration: set.iteration,
      lane: set.lane,
      startNs,
      finishNs: startNs + latestNs,
      npus: reports.map(({ npu, finishNs, exposedNs }) => ({
        npu,
        startNs,
        finishNs: startNs + finishNs,
        computeNs: Math.max(0, finishNs - exposedNs),
        exposedCommNs: Math.min(exposedNs, finishNs),
        exposedMemoryNs: 0,
      })),
      commBytes: sum(set, 'commSizeBytes'),
      memoryBytes: sum(set, 'tensorSizeBytes'),
    };
  }
}

/** Sizes of the nodes, since the binary counts no bytes. */
function sum(set: GraphSet, column: 'commSizeBytes' | 'tensorSizeBytes'): number {
  let total = 0;
  for (const { npus, graph } of set.programs) {
    for (let node = 0; node < graph.nodeCount; node++) {
      const memory =
        graph.type[node] === NodeType.memLoad || graph.type[node] === NodeType.memStore;
      if (column === 'tensorSizeBytes' && !memory) continue;
      total += graph[column][node] * npus.length;
    }
  }
  return total;
}

/** Ours for what the user's command does not name. @returns the flags to add */
function writeConfiguration({ command, inputs, folder }: AstraSimOptions): string[] {
  makeFolder(folder);
  const files = [
    ['network-configuration', 'network.yml', inputs.networkYaml],
    ['system-configuration', 'system.json', inputs.systemJson],
    ['remote-memory-configuration', 'memory.json', inputs.memoryJson],
  ] as const;
  return files.flatMap(([flag, name, text]) => {
    if (command.words.some((word) => word.startsWith(`--${flag}`))) return [];
    const path = join(folder, name);
    writeFileSync(path, text);
    return [`--${flag}=${path}`];
  });
}
