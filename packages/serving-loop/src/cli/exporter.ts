/**
 * `--export FORMAT --export-dir DIR`: the iterations of a run for other simulators, written as they
 * finish. `chakra-astra` is what stock ASTRA-sim runs, with its configuration files beside it;
 * `chakra-1.0` the same nodes under MLCommons' version; `llmservingsim` one text trace an iteration.
 */
import { closeSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder, writeFileWhole, writeFully } from '@astrolabe/base/cli';
import {
  type ExecutionGraph,
  encodeGraph,
  expandGraphSet,
  type GraphSet,
  graphFileName,
  readStreamMetadata,
} from '@astrolabe/chakra';
import type { Cluster } from '@astrolabe/config';
import type { Completion, Counters } from '@astrolabe/system-simulator';
import type { Iteration, TraceGenerator, Transfer } from '@astrolabe/trace-generator';
import type { Backend } from '../backend.js';
import { astraGraphs, astraInputs, commGroupsJson, idleGraph } from '../carriers/astra-inputs.js';
import { withIteration, withWork } from '../export/annotate.js';
import { RunChain } from '../export/chain.js';
import { textTrace } from '../export/text-trace.js';

export const exportFormats = ['chakra-astra', 'chakra-1.0', 'llmservingsim'] as const;
export type ExportFormat = (typeof exportFormats)[number];
export const exportScopes = ['run', 'iteration'] as const;
export type ExportScope = (typeof exportScopes)[number];

export interface ExportOptions {
  readonly format: ExportFormat;
  readonly folder: string;
  readonly scope: ExportScope;
}

const versions = {
  'chakra-astra': '0.0.4',
  'chakra-1.0': '1.0.0',
  llmservingsim: '0.0.4',
} as const;

/** As good as for ever, but an answer that nothing ends by then is no deadlock. */
const drainUntilNs = 2 ** 52;

interface Pending {
  readonly set: GraphSet;
  /** Absent for transfers. */
  readonly iteration: Iteration | undefined;
}

/** Looks on as iterations go to a backend and completions come back. */
export class ExportingBackend implements Backend {
  private readonly inner: Backend;
  private readonly generator: TraceGenerator;
  private readonly cluster: Cluster;
  private readonly options: ExportOptions;
  private readonly pending = new Map<string, Pending>();
  private readonly chain = new RunChain();
  private readonly files = new Map<number, RunFile>();
  private readonly groups: Record<string, readonly number[]> = {};
  private readonly numNpus: number;

  constructor(inner: Backend, generator: TraceGenerator, cluster: Cluster, options: ExportOptions) {
    this.inner = inner;
    this.generator = generator;
    this.cluster = cluster;
    this.options = options;
    this.numNpus = Math.max(cluster.numNpus, astraInputs(cluster).numNpus);
    makeFolder(options.folder);
  }

  submit(iteration: Iteration): void {
    this.expect(this.generator.generate(iteration), iteration);
    this.inner.submit(iteration);
  }

  transfer(transfer: Transfer): void {
    this.expect(this.generator.generateTransfer(transfer), undefined);
    this.inner.transfer(transfer);
  }

  async next(untilNs: number): Promise<Completion | undefined> {
    const completion = await this.inner.next(untilNs);
    if (completion !== undefined) this.write(completion);
    return completion;
  }

  close(): Promise<Counters | undefined> {
    return this.inner.close();
  }

  /**
   * Steps still under way when the last request is done: ranks that share experts step together, and a
   * step that one of them lacks would keep the others waiting for ever. Call before the end of the run.
   */
  async drain(): Promise<void> {
    while ([...this.pending.values()].some(({ set }) => set.lane === 0)) {
      if ((await this.next(drainUntilNs)) === undefined) return;
    }
  }

  /** Gives the files their names and writes what goes with them. */
  commit(): void {
    const { folder, format } = this.options;
    if (format === 'llmservingsim') return;
    if (this.options.scope === 'run') {
      for (let npu = 0; npu < this.numNpus; npu++) {
        const file = this.fileOf(npu);
        if (file.isEmpty) file.write(nodesOf(encodeGraph(idleGraph())));
        file.commit();
      }
    }
    const inputs = astraInputs(this.cluster);
    const write = (name: string, text: string): void => writeFileWhole(join(folder, name), text);
    write('groups.json', commGroupsJson(this.groups));
    write('network.yml', inputs.networkYaml);
    write('system.json', inputs.systemJson);
    write('memory.json', inputs.memoryJson);
  }

  discard(): void {
    for (const file of this.files.values()) file.discard();
  }

  private expect(set: GraphSet, iteration: Iteration | undefined): void {
    this.pending.set(keyOf(set), { set, iteration });
    Object.assign(this.groups, set.groups);
  }

  private write(completion: Completion): void {
    const key = keyOf(completion);
    const pending = this.pending.get(key);
    if (pending === undefined) return;
    this.pending.delete(key);
    const { format, scope, folder } = this.options;
    const { set, iteration } = pending;
    const name = `${set.instance}.${set.lane === 0 ? '' : 'transfer-'}${set.iteration}`;
    if (format === 'llmservingsim') {
      if (iteration === undefined) return;
      const instance = this.cluster.instances[set.instance];
      writeFileWhole(join(folder, `${name}.txt`), textTrace(set, iteration, instance));
    } else if (scope === 'iteration') this.writeIteration(join(folder, name), pending);
    else this.appendToRun(pending, completion);
  }

  private writeIteration(place: string, pending: Pending): void {
    astraGraphs(pending.set, this.numNpus).forEach((graph, npu) => {
      const path = graphFileName(join(place, 'trace'), npu);
      writeFileWhole(path, encodeGraph(this.dressed(graph, pending)));
    });
  }

  private appendToRun(pending: Pending, { npus, lane }: Completion): void {
    const times = new Map(npus.map((entry) => [entry.npu, entry]));
    for (const graph of expandGraphSet(pending.set)) {
      const npu = readStreamMetadata(graph.metadata).npu!;
      const { startNs, finishNs } = times.get(npu)!;
      const parts = this.chain.append(this.dressed(graph, pending), {
        npu,
        lane,
        startNs,
        finishNs,
      });
      for (const part of parts) this.fileOf(npu).write(nodesOf(encodeGraph(part)));
    }
  }

  private dressed(graph: ExecutionGraph, { set, iteration }: Pending): ExecutionGraph {
    const metadata = { version: versions[this.options.format], attributes: [] };
    const plain = { ...graph, metadata };
    if (iteration === undefined) return plain;
    const instance = this.cluster.instances[set.instance];
    return withIteration(withWork(plain, instance, iteration), iteration);
  }

  private fileOf(npu: number): RunFile {
    let file = this.files.get(npu);
    if (file === undefined) {
      const metadata = { version: versions[this.options.format], attributes: [] };
      const header = encodeGraph({ ...idleGraph(), nodeCount: 0, metadata });
      file = new RunFile(graphFileName(join(this.options.folder, 'run'), npu), header);
      this.files.set(npu, file);
    }
    return file;
  }
}

function keyOf(record: { lane: number; instance: number; iteration: number }): string {
  return `${record.lane}/${record.instance}/${record.iteration}`;
}

/** The bytes behind the first message, which is the metadata. */
function nodesOf(bytes: Uint8Array): Uint8Array {
  let length = 0;
  let factor = 1;
  for (let i = 0; ; i++) {
    length += (bytes[i] & 127) * factor;
    factor *= 128;
    if (bytes[i] < 128) return bytes.subarray(i + 1 + length);
  }
}

/** A trace that grows, and has its name only when it is whole. */
class RunFile {
  isEmpty = true;
  private readonly path: string;
  private readonly descriptor: number;

  constructor(path: string, header: Uint8Array) {
    this.path = path;
    this.descriptor = openSync(`${path}.partial`, 'w');
    writeFully(this.descriptor, header, path);
  }

  write(bytes: Uint8Array): void {
    this.isEmpty = false;
    writeFully(this.descriptor, bytes, this.path);
  }

  commit(): void {
    closeSync(this.descriptor);
    renameSync(`${this.path}.partial`, this.path);
  }

  discard(): void {
    closeSync(this.descriptor);
    rmSync(`${this.path}.partial`, { force: true });
  }
}
