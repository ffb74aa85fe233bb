/**
 * PyTorch profiler (Kineto) Chrome traces to a profile. Events come one at a time and in any order;
 * what is kept of each is a few numbers, so traces of GBs fit. At the end every kernel is traced
 * back: its correlation id to the launch, the launch's thread and time to the operators and
 * annotations around it. Kernels of one operator call are summed, calls of one operator and size
 * give their median.
 *
 * An operator is named, in this order, by
 *   an annotation `astrolabe:<kind>:<operator>:<key>=<n>,...` (tools/torch-profiler writes them;
 *   what else runs within its `astrolabe:setup` is left out),
 *   a matrix multiplication's sizes (`gemmOperator`), the kernel's name (`kernelOperator`).
 * One cudaGraphLaunch starts many kernels and hides their operators: those go by kernel name, with
 * the tokens of the engine's step annotation around the launch. ts and dur are us.
 */
import { askedBy, GrowableFloat64, GrowableInt32, nsPerUs, UserError } from '@astrolabe/base';
import { type ProfileInfo, ProfileTableBuilder } from '@astrolabe/profile';
import type { ImportOptions } from './adapter.js';
import type { HostOperators } from './chakra-host.js';
import { kernelOperator } from './kernel-names.js';
import { annotationPrefix, Calls, type Label } from './kineto-calls.js';

export interface KinetoEvent {
  readonly ph?: string;
  readonly cat?: string;
  readonly name?: string;
  readonly pid?: number | string;
  readonly tid?: number | string;
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

/** 2^53 ns. */
const longestUs = Number.MAX_SAFE_INTEGER / nsPerUs;

function isShape(dim: unknown): dim is number[] {
  return Array.isArray(dim) && dim.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** Absent: 0. Some versions write numbers as texts. */
function countOf(args: Readonly<Record<string, unknown>>, key: string): number {
  const count = Number(args[key] ?? 0);
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new UserError(`${key}: expected an integer >= 0, got ${JSON.stringify(args[key])}`);
}

/** In lower case; PyTorch up to 1.12 wrote Kernel, Memcpy, Memset, Runtime, Operator. */
const kernelCategories = new Set(['kernel', 'gpu_memcpy', 'gpu_memset', 'memcpy', 'memset']);
const launchCategories = new Set([
  'cuda_runtime',
  'cuda_driver',
  'hip_runtime',
  'xpu_runtime',
  'runtime',
]);
const scopeCategories = new Set(['cpu_op', 'user_annotation', 'operator', 'python_function']);

/** Events of one kind as columns. */
class Columns {
  readonly ts = new GrowableFloat64(1024);
  readonly dur = new GrowableFloat64(1024);
  readonly label = new GrowableInt32(1024);
  /** Correlation id of kernels and launches; thread of scopes and launches. */
  readonly link = new GrowableFloat64(1024);
  readonly thread = new GrowableInt32(1024);

  push(ts: number, dur: number, label: number, link: number, thread: number): void {
    this.ts.push(ts);
    this.dur.push(dur);
    this.label.push(label);
    this.link.push(link);
    this.thread.push(thread);
  }

  get length(): number {
    return this.ts.length;
  }
}

interface Collective {
  readonly name: string;
  readonly workers: number;
  readonly sizeBytes: number;
  readonly durationNs: number;
}

const elementBytes: Record<string, number> = {
  BFloat16: 2,
  Half: 2,
  Float: 4,
  Double: 8,
  Int: 4,
  Long: 8,
  Byte: 1,
  Char: 1,
};

export class KinetoCollector {
  private readonly kernels = new Columns();
  private readonly launches = new Columns();
  private readonly scopes = new Columns();
  private readonly labels: Label[] = [];
  private readonly labelIndex = new Map<string, number>();
  private readonly threads = new Map<string, number>();
  /** Of each thread. */
  private readonly processes: string[] = [];
  private readonly collectives: Collective[] = [];
  private readonly host: HostOperators | undefined;
  private steps = 0;
  events = 0;

  /** @param host operator shapes of a Chakra host trace of the same run, for traces without */
  constructor(host?: HostOperators) {
    this.host = host;
  }

  /** @throws UserError an event that is not one */
  add(event: KinetoEvent, at: string): void {
    this.events++;
    if (typeof event !== 'object' || event === null) {
      throw new UserError('expected an object', { at: `${at}: event ${this.events}` });
    }
    const { ph, name } = event;
    if (ph !== 'X' || typeof name !== 'string') return;
    // Builds without Kineto write no categories, only whose functions they are.
    const cat = (event.cat ?? (event.pid === 'CUDA functions' ? 'kernel' : 'cpu_op')).toLowerCase();
    const { ts, dur } = event;
    if (typeof ts !== 'number' || typeof dur !== 'number' || !(dur >= 0 && dur <= longestUs)) {
      throw new UserError(`event "${name}" has no ts and dur`, {
        at: `${at}: event ${this.events}`,
      });
    }
    const args = event.args ?? {};
    if (kernelCategories.has(cat)) {
      if (args['Collective name'] !== undefined) {
        askedBy(`${at}: event ${this.events}`, () => this.addCollective(name, dur, args));
      }
      const correlation = Number(args.correlation ?? Number.NaN);
      this.kernels.push(ts, dur, this.labelOf(name, []), correlation, 0);
    } else if (launchCategories.has(cat)) {
      const correlation = Number(args.correlation ?? Number.NaN);
      const thread = this.threadOf(event);
      this.launches.push(ts, dur, this.labelOf(name, []), correlation, thread);
    } else if (scopeCategories.has(cat)) {
      if (name.startsWith('ProfilerStep#')) {
        this.steps++;
        return;
      }
      if (cat === 'python_function') return;
      const label = this.labelOf(name, this.dimsOf(args));
      this.scopes.push(ts, dur, label, 0, this.threadOf(event));
    }
  }

  /** Names and shapes; a host trace stands in for missing shapes. */
  private dimsOf(args: Readonly<Record<string, unknown>>): readonly (readonly number[])[] {
    const dims = args['Input Dims'] ?? args['Input dims'];
    if (Array.isArray(dims)) return dims.filter(isShape);
    const id = args['Record function id'] ?? args['External id'];
    return this.host?.get(Number(id)) ?? [];
  }

  private addCollective(name: string, dur: number, args: Readonly<Record<string, unknown>>): void {
    const elements = countOf(
      args,
      args['In msg nelems'] === undefined ? 'In msg size' : 'In msg nelems',
    );
    const workers = countOf(args, 'Group size');
    const dtype = String(args.dtype ?? 'BFloat16');
    const bytes = dtype.startsWith('Float8') ? 1 : (elementBytes[dtype] ?? 2);
    this.collectives.push({
      name:
        kernelOperator(name) === 'other' ? String(args['Collective name']) : kernelOperator(name),
      workers,
      sizeBytes: elements * bytes,
      durationNs: Math.max(1, Math.round(dur * nsPerUs)),
    });
  }

  private labelOf(name: string, dims: readonly (readonly number[])[]): number {
    const key = dims.length === 0 ? name : `${name}|${dims.join(';')}`;
    const known = this.labelIndex.get(key);
    if (known !== undefined) return known;
    this.labels.push({ name, dims });
    this.labelIndex.set(key, this.labels.length - 1);
    return this.labels.length - 1;
  }

  private threadOf({ pid, tid }: KinetoEvent): number {
    const key = `${pid}/${tid}`;
    const known = this.threads.get(key);
    if (known !== undefined) return known;
    this.threads.set(key, this.threads.size);
    this.processes.push(String(pid));
    return this.threads.size - 1;
  }

  /** @throws UserError nothing to measure in it */
  finish(
    names: Pick<ProfileInfo, 'hardware' | 'model' | 'dtype'>,
    options: ImportOptions,
    at: string,
  ) {
    const calls = new Calls(options);
    const notes: string[] = [];
    const byKernel = this.kernels.length > 0;
    let unlinked = 0;
    askedBy(at, () => {
      if (byKernel) unlinked = this.attributeKernels(calls);
      else this.attributeScopes(calls);
    });
    const builder = new ProfileTableBuilder();
    calls.addTo(builder);
    for (const { name, workers, sizeBytes, durationNs } of this.collectives) {
      const group = { tp: Math.max(1, workers), sequences: workers };
      builder.add({ kind: 'collective', operator: name, ...group, sizeBytes, durationNs });
    }
    if (builder.length === 0) {
      throw new UserError('no kernel, no operator and no annotation to measure', {
        at,
        hint: 'record with record_shapes=True; see tools/torch-profiler',
      });
    }
    if (unlinked > 0) notes.push(`${unlinked} kernels without a launch, named by themselves`);
    notes.push(...calls.notes());
    if (this.steps > 0) notes.push(`${this.steps} profiler steps`);
    if (!byKernel) notes.push('no device kernels: host times of the annotated operators');
    return builder.build({
      ...names,
      source: `PyTorch profiler trace, ${this.events} events`,
      measurement: byKernel ? 'kernel' : 'wall_clock',
      ...(notes.length > 0 && { notes }),
    });
  }

  /** @returns kernels without a known launch */
  private attributeKernels(calls: Calls): number {
    const { kernels, launches } = this;
    const launchOf = this.launchesById();
    const chains = this.enclosingScopes();
    let unlinked = 0;
    for (let i = 0; i < kernels.length; i++) {
      const launch = launchOf.get(kernels.link.data[i]);
      const chain = launch === undefined ? [] : chains(launch);
      if (launch === undefined) unlinked++;
      const scopes = chain.map((scope) => this.labels[this.scopes.label.data[scope]]);
      const kernel = this.labels[kernels.label.data[i]].name;
      const isGraph =
        launch !== undefined && /GraphLaunch/.test(this.labels[launches.label.data[launch]].name);
      calls.add(scopes, chain, isGraph, kernel, kernels.dur.data[i]);
    }
    return unlinked;
  }

  /**
   * Ids are unique in a process only, and kernels do not say whose they are.
   * @throws UserError launches of two processes with one id
   */
  private launchesById(): Map<number, number> {
    const { launches, processes } = this;
    const launchOf = new Map<number, number>();
    for (let i = 0; i < launches.length; i++) {
      const id = launches.link.data[i];
      const other = launchOf.get(id);
      launchOf.set(id, i);
      if (other === undefined || Number.isNaN(id)) continue;
      const [one, two] = [other, i].map((launch) => processes[launches.thread.data[launch]]);
      if (one === two) continue;
      throw new UserError(`processes ${one} and ${two} both launched kernels as ${id}`, {
        hint: "traces of several ranks in one file: import one rank's trace",
      });
    }
    return launchOf;
  }

  /** Without device kernels only annotations name operators: their own time counts. */
  private attributeScopes(calls: Calls): void {
    for (let i = 0; i < this.scopes.length; i++) {
      const label = this.labels[this.scopes.label.data[i]];
      if (label.name.startsWith(annotationPrefix)) {
        calls.add([label], [i], false, label.name, this.scopes.dur.data[i]);
      }
    }
  }

  /** For each launch the scopes around it on its thread, outermost first. */
  private enclosingScopes(): (launch: number) => number[] {
    const { scopes, launches } = this;
    const order = (columns: Columns): Int32Array => {
      const index = Int32Array.from({ length: columns.length }, (_, i) => i);
      const { thread, ts, dur } = columns;
      return index.sort(
        (a, b) =>
          thread.data[a] - thread.data[b] || ts.data[a] - ts.data[b] || dur.data[b] - dur.data[a],
      );
    };
    const scopeOrder = order(scopes);
    const parent = new Int32Array(scopes.length).fill(-1);
    const innermost = new Int32Array(launches.length).fill(-1);
    let next = 0;
    let stack: number[] = [];
    let thread = -1;
    const unwind = (ts: number): void => {
      while (stack.length > 0) {
        const top = stack[stack.length - 1];
        if (scopes.ts.data[top] + scopes.dur.data[top] > ts) return;
        stack.pop();
      }
    };
    for (const launch of order(launches)) {
      const onThread = launches.thread.data[launch];
      const ts = launches.ts.data[launch];
      if (onThread !== thread) stack = [];
      thread = onThread;
      while (next < scopeOrder.length) {
        const scope = scopeOrder[next];
        const scopeThread = scopes.thread.data[scope];
        if (scopeThread > thread || (scopeThread === thread && scopes.ts.data[scope] > ts)) break;
        next++;
        if (scopeThread < thread) continue;
        unwind(scopes.ts.data[scope]);
        parent[scope] = stack[stack.length - 1] ?? -1;
        stack.push(scope);
      }
      unwind(ts);
      innermost[launch] = stack[stack.length - 1] ?? -1;
    }
    return (launch) => {
      const chain: number[] = [];
      for (let scope = innermost[launch]; scope >= 0; scope = parent[scope]) chain.push(scope);
      return chain.reverse();
    };
  }
}
