/** Per-node results, the message trace, and a fingerprint of everything that happened. Times ns. */
import { writeFileWhole } from '@astrolabe/base/cli';
import {
  collectiveName,
  type ExecutionGraph,
  NodeType,
  nodeTypeName,
  readStreamMetadata,
} from '@astrolabe/chakra';
import { rowOf, Slot } from '../feeder/program.js';
import type { Run } from '../feeder/run.js';

const slotNames = ['cpu', 'compute', 'comm', 'none'];

/** Which iteration a graph is, where its metadata says so. */
interface Step {
  readonly instance?: number;
  readonly iteration?: number;
  readonly lane?: number;
}

interface NodeResult extends Step {
  readonly npu: number;
  readonly node: number;
  readonly name: string;
  /** As `chakra dump` names it, like the collective. */
  readonly type: string;
  readonly commType?: string;
  readonly slot: string;
  readonly issueNs: number;
  readonly endNs: number;
  readonly bytes: number;
}

/** One row per node that ended, in order of ending; bytes of its message, collective or tensor. */
export class NodeResults {
  private readonly rows: NodeResult[] = [];
  private readonly issued = new Map<Run, Map<number, number>>();
  private readonly steps = new WeakMap<ExecutionGraph, Step>();

  add(event: 'issue' | 'end', run: Run, node: number, timeNs: number): void {
    let issued = this.issued.get(run);
    if (issued === undefined) {
      issued = new Map();
      this.issued.set(run, issued);
    }
    if (event === 'issue') {
      issued.set(node, timeNs);
      return;
    }
    const { program } = run;
    const { graph } = program;
    const row = rowOf(program, node);
    const issueNs = issued.get(node) as number;
    issued.delete(node);
    const step = this.stepOf(graph);
    const isCollective = graph.type[row] === NodeType.commColl;
    for (const npu of run.npus) {
      this.rows.push({
        ...step,
        npu,
        node: graph.id[row],
        name: graph.strings[graph.name[row]] ?? '',
        type: nodeTypeName(graph.type[row]),
        ...(isCollective && { commType: collectiveName(graph.commType[row]) }),
        slot: slotNames[program.slot[node] ?? Slot.none],
        issueNs,
        endNs: timeNs,
        bytes: graph.commSizeBytes[row] + graph.tensorSizeBytes[row],
      });
    }
  }

  private stepOf(graph: ExecutionGraph): Step {
    let step = this.steps.get(graph);
    if (step === undefined) {
      const { instance, iteration, lane } = readStreamMetadata(graph.metadata);
      step = iteration === undefined ? {} : { instance: instance ?? 0, iteration, lane: lane ?? 0 };
      this.steps.set(graph, step);
    }
    return step;
  }

  /** NDJSON, or an Arrow IPC stream for a name that ends in `.arrow`. */
  async write(path: string): Promise<void> {
    if (!path.endsWith('.arrow')) {
      writeFileWhole(path, this.rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      return;
    }
    // Loaded only here: it would slow down every start.
    const { tableFromArrays, tableToIPC } = await import('apache-arrow');
    const table = tableFromArrays({
      instance: this.rows.map(({ instance }) => instance ?? null),
      iteration: this.rows.map(({ iteration }) => iteration ?? null),
      lane: this.rows.map(({ lane }) => lane ?? null),
      npu: Int32Array.from(this.rows, ({ npu }) => npu),
      node: Float64Array.from(this.rows, ({ node }) => node),
      name: this.rows.map(({ name }) => name),
      type: this.rows.map(({ type }) => type),
      commType: this.rows.map(({ commType }) => commType ?? null),
      slot: this.rows.map(({ slot }) => slot),
      issueNs: Float64Array.from(this.rows, ({ issueNs }) => issueNs),
      endNs: Float64Array.from(this.rows, ({ endNs }) => endNs),
      bytes: Float64Array.from(this.rows, ({ bytes }) => bytes),
    });
    writeFileWhole(path, tableToIPC(table, 'stream'));
  }
}

/** S = send, R = receive posted, A = arrival, in the order in which they happened. */
export class MessageTrace {
  private readonly lines = ['event,time_ns,src,dst,tag,bytes'];

  add(event: string, timeNs: number, src: number, dst: number, tag: number, bytes: number): void {
    this.lines.push(`${event},${timeNs},${src},${dst},${tag},${bytes}`);
  }

  write(path: string): void {
    writeFileWhole(path, `${this.lines.join('\n')}\n`);
  }
}

/** 64 bits over (time, kind, NPU, node) of everything that happened, in order. */
export class Fingerprint {
  private low = 0x811c9dc5;
  private high = 0x01000193;

  addNode(event: string, run: Run, node: number, timeNs: number): void {
    this.mix(event.charCodeAt(0));
    this.mix(run.npu);
    this.mix(node);
    this.mixTime(timeNs);
  }

  addMessage(event: string, timeNs: number, src: number, dst: number, bytes: number): void {
    this.mix(event.charCodeAt(0));
    this.mix(src);
    this.mix(dst);
    this.mixTime(bytes);
    this.mixTime(timeNs);
  }

  digest(): string {
    const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, '0');
    return hex(this.high) + hex(this.low);
  }

  private mixTime(value: number): void {
    this.mix(value % 2 ** 32);
    this.mix(Math.trunc(value / 2 ** 32));
  }

  private mix(value: number): void {
    this.low = Math.imul(this.low ^ (value | 0), 0x9e3779b1);
    this.low ^= this.low >>> 15;
    this.high = Math.imul(this.high ^ this.low, 0x85ebca6b) + 1;
    this.high ^= this.high >>> 13;
  }
}
