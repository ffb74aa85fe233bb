/**
 * Collectives given as Chakra traces: each rank's SEND, RECV and COMP nodes run without resource
 * limits, every node as soon as its parents are done. Times ns, sizes bytes.
 */
import { UserError } from '@astrolabe/base';
import type { ExecutionGraph } from '@astrolabe/chakra';
import type { Core, Transport } from '../core.js';
import {
  compileProgram,
  type NodeRules,
  Op,
  type Program,
  place,
  rowOf,
} from '../feeder/program.js';
import { Kind } from '../kernel/kinds.js';
import { collectiveTagBase } from './planner.js';

const rules: NodeRules = {
  replayOnly: false,
  emptyDurationNs: 1,
  memorySlot: 'none',
  ctrlDeps: true,
  refuseCycles: false,
  dimensions: true,
};

interface CustomRun {
  readonly npu: number;
  /** File of the program, for errors. */
  readonly at: string;
  readonly program: Program;
  /** NPU of each rank of the algorithm. */
  readonly npuOf: (rank: number) => number;
  readonly task: number;
  readonly waiting: Int32Array;
  ongoing: number;
}

interface CustomOptions {
  readonly core: Core;
  readonly transport: Transport;
  readonly load: (prefix: string, rank: number) => ExecutionGraph;
  readonly onDone: (task: number) => void;
}

export class CustomCollectives {
  private readonly options: CustomOptions;
  private readonly programs = new WeakMap<ExecutionGraph, Program>();
  /** By the argument of their events: which run, which node. */
  private readonly steps: { run: CustomRun; node: number }[] = [];
  private readonly free: number[] = [];

  constructor(options: CustomOptions) {
    this.options = options;
  }

  /** @param members the group in file order; undefined for all NPUs. `task` ends with it. */
  begin(npu: number, prefix: string, members: readonly number[] | undefined, task: number): void {
    const sorted = members === undefined ? undefined : [...members].sort((a, b) => a - b);
    const rank = sorted === undefined ? npu : sorted.indexOf(npu);
    const graph = this.options.load(prefix, rank);
    const at = `${prefix}.${rank}.et`;
    let program = this.programs.get(graph);
    if (program === undefined) {
      program = compileProgram(graph, rules, at);
      this.programs.set(graph, program);
    }
    const run: CustomRun = {
      npu,
      at,
      program,
      npuOf: (other) => (members === undefined ? other : members[other]),
      task,
      waiting: program.parents.slice(),
      ongoing: 0,
    };
    for (const node of program.roots) this.issue(run, node);
    if (run.ongoing === 0) this.options.core.after(npu, 0, Kind.nodeEnd, task);
  }

  /** A node of a custom collective ends. */
  handle(id: number): void {
    const { run, node } = this.steps[id];
    this.free.push(id);
    run.ongoing--;
    const { childStart, child } = run.program;
    for (let e = childStart[node]; e < childStart[node + 1]; e++) {
      if (--run.waiting[child[e]] === 0) this.issue(run, child[e]);
    }
    if (run.ongoing === 0) this.options.onDone(run.task);
  }

  private issue(run: CustomRun, node: number): void {
    const { core, transport } = this.options;
    const { program, npu } = run;
    const { graph } = program;
    const row = rowOf(program, node);
    run.ongoing++;
    const id = this.free.pop() ?? this.steps.length;
    this.steps[id] = { run, node };
    const size = graph.commSizeBytes[row];
    const tag = graph.commTag[row] % collectiveTagBase;
    switch (program.op[node]) {
      case Op.compute:
        core.after(npu, program.durationNs[node], Kind.customNodeEnd, id);
        break;
      case Op.send: {
        const dst = this.peer(run, row, graph.commDst[row]);
        transport.send(npu, dst, tag, size, Kind.customNodeEnd, id);
        break;
      }
      case Op.receive: {
        const src = this.peer(run, row, graph.commSrc[row]);
        transport.receive(src, npu, tag, size, Kind.customNodeEnd, id);
        break;
      }
      default:
        throw new UserError('a custom collective: expected send, receive or compute', {
          at: place(graph, row, run.at),
        });
    }
  }

  private peer(run: CustomRun, row: number, rank: number): number {
    const npu = run.npuOf(rank);
    if (npu === undefined || npu < 0 || npu >= this.options.core.numNpus) {
      throw new UserError(`a custom collective names rank ${rank}, which is nobody here`, {
        at: place(run.program.graph, row, run.at),
      });
    }
    return npu;
  }
}
