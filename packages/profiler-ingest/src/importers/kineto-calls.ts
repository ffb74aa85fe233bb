/**
 * Whose a kernel is: the operator and size of the innermost scope around its launch that tells, as
 * `kineto.ts` says. Kernels of one operator call are summed, calls of one key give their median.
 */
import { nsPerUs, UserError } from '@astrolabe/base';
import {
  type KeyColumn,
  keyColumns,
  type ProfileRow,
  type ProfileTableBuilder,
  type RowKind,
  requiredKeys,
  rowKinds,
} from '@astrolabe/profile';
import type { ImportOptions } from './adapter.js';
import { gemmOperator } from './gemm-names.js';
import { kernelOperator } from './kernel-names.js';

/** What a label stands for: an operator call's name and sizes. */
export interface Label {
  readonly name: string;
  readonly dims: readonly (readonly number[])[];
}

/** The last is vLLM's of FP8 and INT8. */
const multiplications = /^(aten::(linear|mm|addmm|matmul|bmm|_scaled_mm)|_C::cutlass_scaled_mm)$/;
export const annotationPrefix = 'astrolabe:';
/** Around a capture: its own preparations are no operators. */
const setupScope = 'astrolabe:setup';

type RowKey = Omit<ProfileRow, 'durationNs'>;

/** Operator calls: kernels of one call summed, calls of one key collected. */
export class Calls {
  private readonly options: ImportOptions;
  private readonly keys = new Map<string, RowKey>();
  private readonly sums = new Map<string, Map<number, number>>();
  private anonymous = 0;
  private graphKernels = 0;

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
    if (isGraph) this.graphKernels++;
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

  /** What was named so roughly that no model looks it up. */
  notes(): string[] {
    const notes: string[] = [];
    if (this.graphKernels > 0) {
      notes.push(`${this.graphKernels} kernels of CUDA graphs, named by themselves, a call each`);
    }
    const rough = new Set(
      [...this.keys.values()].filter(({ kind }) => kind === 'dense').map((key) => key.operator),
    );
    if (rough.has('gemm')) {
      notes.push(
        '"gemm" is matrix products of all sizes: known are those recorded with their shapes',
      );
    }
    if (rough.has('attention')) {
      notes.push(
        'attention without its contexts: only annotated calls make attention that is looked up',
      );
    }
    return notes;
  }

  addTo(builder: ProfileTableBuilder): void {
    for (const [name, key] of this.keys) {
      const sums = [...(this.sums.get(name) as Map<number, number>).values()].sort((a, b) => a - b);
      const median = sums[Math.floor(sums.length / 2)];
      builder.add({ ...key, durationNs: Math.max(1, Math.round(median * nsPerUs)) } as ProfileRow);
    }
  }
}

/**
 * `astrolabe:dense:qkv_proj:tokens=128,tp=2` as a row's key. Of attention the part that is left out, a chunk
 * or decodes, is none.
 * @throws UserError no such kind, a key that the row is looked up by is not there, or any is no count
 */
export function parseAnnotation(name: string, tp: number): RowKey | undefined {
  if (!name.startsWith(annotationPrefix)) return undefined;
  const [kind, operator, list = ''] = name.slice(annotationPrefix.length).split(':');
  if (operator === undefined) return undefined;
  if (!(rowKinds as readonly string[]).includes(kind)) {
    throw new UserError(`unknown kind "${kind}"`, {
      at: name,
      hint: `expected astrolabe:KIND:OPERATOR:KEY=N,... of kind ${rowKinds.join(', ')}`,
    });
  }
  const keys: Partial<Record<KeyColumn | 'tp', number>> = {};
  for (const pair of list.split(',')) {
    const [key, text] = pair.split('=');
    const known = key === 'tp' || (keyColumns as readonly string[]).includes(key);
    if (known) keys[key as KeyColumn] = countOf(text, key, name);
  }
  const isAttention = kind === 'attention' || kind === 'skew';
  for (const key of requiredKeys[kind as RowKind]) {
    if (keys[key] !== undefined) continue;
    const isPart = isAttention && requiredKeys.attention.includes(key);
    keys[key] = countOf(isPart ? '0' : undefined, key, name);
  }
  return { kind: kind as RowKind, operator, tp, ...keys };
}

function countOf(text: string | undefined, key: string, at: string): number {
  if (text !== undefined && /^\d+$/.test(text)) return Number(text);
  throw new UserError(`${key}: expected an integer >= 0, got ${text ?? 'none'}`, { at });
}

/** vLLM's annotation of a step: execute_context_2(512)_generation_4(4). */
function stepTokens(scopes: readonly Label[]): number | undefined {
  for (const { name } of scopes) {
    const match = /context_\d+\((\d+)\)_generation_\d+\((\d+)\)/.exec(name);
    if (match !== null) return Number(match[1]) + Number(match[2]);
  }
  return undefined;
}

/**
 * m, k, n of a matrix product from its input shapes. linear's weight is n x k; addmm's bias comes first, the
 * scales of a scaled product come last, and vLLM's has its result as first input.
 */
function gemmSize({ name, dims }: Label): { m: number; k: number; n: number } | undefined {
  const matrices = dims.filter((dim) => dim.length >= 2);
  const first = name.endsWith('cutlass_scaled_mm') ? 1 : 0;
  const isScaled = name.endsWith('_scaled_mm');
  const [left, right] = isScaled ? matrices.slice(first, first + 2) : matrices.slice(-2);
  if (right === undefined) return undefined;
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
