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
import { GrowableFloat64, GrowableInt32, nsPerUs, UserError } from '@astrolabe/base';
import {
  type KeyColumn,
  keyColumns,
  type ProfileInfo,
  type ProfileRow,
  ProfileTableBuilder,
  type RowKind,
  rowKinds,
} from '@astrolabe/profile';
import type { ImportOptions } from './adapter.js';
import type { HostOperators } from './chakra-host.js';
import { gemmOperator } from './gemm-names.js';
import { kernelOperator } from './kernel-names.js';

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

const kernelCategories = new Set(['kernel', 'gpu_memcpy', 'gpu_memset']);
const launchCategories = new Set(['cuda_runtime', 'cuda_driver', 'hip_runtime', 'xpu_runtime']);
const scopeCategories = new Set(['cpu_op', 'user_annotation', 'Operator', 'python_function']);
const multiplications = /^aten::(linear|mm|addmm|matmul|bmm|_scaled_mm)$/;

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

/** What a label stands for: an operator call's name and sizes. */
interface Label {
  readonly name: string;
  readonly dims: readonly (readonly number[])[];
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
    const { ph, name } = event;
    if (ph !== 'X' || name === undefined) return;
    // Builds without Kineto write no categories, only whose functions they are.
    const cat = event.cat ?? (event.pid === 'CUDA functions' ? 'kernel' : 'cpu_op');
    const { ts, dur } = event;
    if (typeof ts !== 'number' || typeof dur !== 'number' || !(dur >= 0)) {
      throw new UserError(`event "${name}" has no ts and dur`, {
        at: `${at}: event ${this.events}`,
      });
    }
    const args = event.args ?? {};
    if (kernelCategories.has(cat)) {
      if (args['Collective name'] !== undefined) this.addCollective(name, dur, args);
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
    if (Array.isArray(dims)) return dims.filter((dim) => Array.isArray(dim)) as number[][];
    const id = args['Record function id'] ?? args['External id'];
    return this.host?.get(Number(id)) ?? [];
  }

  private addCollective(name: string, dur: number, args: Readonly<Record<string, unknown>>): void {
    const elements = Number(args['In msg nelems'] ?? args['In msg size'] ?? 0);
    const workers = Number(args['Group size'] ?? 0);
    const bytes = elementBytes[String(args.dtype ?? 'BFloat16')] ?? 2;
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
    if (byKernel) unlinked = this.attributeKernels(calls);
    else this.attributeScopes(calls);
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
    const launchOf = new Map<number, number>();
    const { launches, kernels } = this;
    for (let i = 0; i < launches.length; i++) launchOf.set(launches.link.data[i], i);
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

const annotationPrefix = 'astrolabe:';
/** Around a capture: its own preparations are no operators. */
const setupScope = 'astrolabe:setup';

type RowKey = Omit<ProfileRow, 'durationNs'>;

/** Operator calls: kernels of one call summed, calls of one key collected. */
class Calls {
  private readonly options: ImportOptions;
  private readonly keys = new Map<string, RowKey>();
  private readonly sums = new Map<string, Map<number, number>>();
  private anonymous = 0;

  constructor(options: ImportOptions) {
    this.options = options;
  }

  add(
    scopes: readonly Label[],
    chain: readonly number[],
    isGraph: boolean,
    kernel: string,
    durationUs: number,
  ): void {
    const found = this.identify(scopes, isGraph, kernel);
    if (found === undefined) return;
    const { key, scope } = found;
    const name = JSON.stringify(key);
    if (!this.keys.has(name)) this.keys.set(name, key);
    const calls = this.sums.get(name) ?? new Map<number, number>();
    // Kernels outside any operator are calls of their own.
    const call = scope < 0 ? --this.anonymous : chain[scope];
    calls.set(call, (calls.get(call) ?? 0) + durationUs);
    this.sums.set(name, calls);
  }

  private identify(
    scopes: readonly Label[],
    isGraph: boolean,
    kernel: string,
  ): { key: RowKey; scope: number } | undefined {
    for (let i = scopes.length - 1; i >= 0; i--) {
      if (scopes[i].name === setupScope) return undefined;
      const key = parseAnnotation(scopes[i].name, this.options.tp);
      if (key !== undefined && !(isGraph && key.operator === 'step')) return { key, scope: i };
    }
    const tp = this.options.tp;
    const tokens = stepTokens(scopes);
    if (!isGraph) {
      for (let i = scopes.length - 1; i >= 0; i--) {
        const size = multiplications.test(scopes[i].name) ? gemmSize(scopes[i]) : undefined;
        if (size === undefined) continue;
        const operator = gemmOperator(this.options.shape, tp, size.k, size.n);
        const head = operator === 'lm_head';
        const rows = head ? { sequences: size.m } : { tokens: size.m };
        const kind: RowKind = head ? 'per_sequence' : 'dense';
        return { key: { kind, operator, tp, ...rows }, scope: i };
      }
    }
    const operator = kernelOperator(kernel);
    const last = scopes.length - 1;
    const leading = isGraph || last < 0 ? tokens : (tokens ?? leadingRows(scopes[last]));
    return {
      key: { kind: 'dense', operator, tp, tokens: leading ?? 1 },
      scope: isGraph ? -1 : last,
    };
  }

  addTo(builder: ProfileTableBuilder): void {
    for (const [name, key] of this.keys) {
      const sums = [...(this.sums.get(name) as Map<number, number>).values()].sort((a, b) => a - b);
      const median = sums[Math.floor(sums.length / 2)];
      builder.add({ ...key, durationNs: Math.max(1, Math.round(median * nsPerUs)) } as ProfileRow);
    }
  }
}

/** `astrolabe:dense:qkv_proj:tokens=128,tp=2` as a row's key. */
export function parseAnnotation(name: string, tp: number): RowKey | undefined {
  if (!name.startsWith(annotationPrefix)) return undefined;
  const [kind, operator, list = ''] = name.slice(annotationPrefix.length).split(':');
  if (!(rowKinds as readonly string[]).includes(kind) || operator === undefined) return undefined;
  const keys: Partial<Record<KeyColumn | 'tp', number>> = {};
  for (const pair of list.split(',')) {
    const [key, text] = pair.split('=');
    const known = key === 'tp' || (keyColumns as readonly string[]).includes(key);
    if (known) keys[key as KeyColumn] = Number(text);
  }
  return { kind: kind as RowKind, operator, tp, ...keys };
}

/** vLLM's annotation of a step: execute_context_2(512)_generation_4(4). */
function stepTokens(scopes: readonly Label[]): number | undefined {
  for (const { name } of scopes) {
    const match = /context_\d+\((\d+)\)_generation_\d+\((\d+)\)/.exec(name);
    if (match !== null) return Number(match[1]) + Number(match[2]);
  }
  return undefined;
}

/** m, k, n of a matrix product from its input shapes; linear's weight is n x k. */
function gemmSize({ name, dims }: Label): { m: number; k: number; n: number } | undefined {
  const matrices = dims.filter((dim) => dim.length >= 2);
  if (matrices.length < 2) return undefined;
  const [left, right] = matrices.slice(-2).length === 2 ? matrices : [];
  const k = left[left.length - 1];
  const m = left.slice(0, -1).reduce((product, size) => product * size, 1);
  const transposed = name === 'aten::linear';
  const n = transposed ? right[right.length - 2] : right[right.length - 1];
  return { m, k, n };
}

function leadingRows({ dims }: Label): number | undefined {
  const first = dims.find((dim) => dim.length >= 2);
  return first?.slice(0, -1).reduce((product, size) => product * size, 1);
}
