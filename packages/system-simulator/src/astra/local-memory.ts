/**
 * ASTRA-sim's local-memory tracker: from the tensors that nodes read and write (attributes `inputs` and
 * `outputs`, lists of name and bytes in turn) to the largest sum of tensors alive at once. Times ns.
 */
import { UserError } from '@astrolabe/base';
import type { ExecutionGraph } from '@astrolabe/chakra';
import { rowOf } from '../feeder/program.js';
import type { Run } from '../feeder/run.js';

interface Tensor {
  readonly sizeBytes: number;
  readonly writeNs: readonly [start: number, end: number];
  readonly reads: (readonly [start: number, end: number])[];
}

/** A tensor that nobody wrote counts as written in the first ticks. */
const initialWriteNs: readonly [number, number] = [0, 10];

export class LocalMemory {
  private readonly tensors = new Map<string, Tensor>();
  private readonly issuedNs = new Map<number, number>();

  /** A node's issue or end. @throws UserError if it does not say its tensors, or writes one again */
  onNode(event: 'issue' | 'end', run: Run, node: number, timeNs: number): void {
    if (event === 'issue') {
      this.issuedNs.set(node, timeNs);
      return;
    }
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const at = `NPU ${run.npu}: node ${graph.id[row]}`;
    const span = [this.issuedNs.get(node) as number, timeNs] as const;
    this.issuedNs.delete(node);
    for (const [name, sizeBytes] of tensorsOf(graph, row, 'inputs', at)) {
      let tensor = this.tensors.get(name);
      if (tensor === undefined) {
        tensor = { sizeBytes, writeNs: initialWriteNs, reads: [] };
        this.tensors.set(name, tensor);
      }
      tensor.reads.push(span);
    }
    for (const [name, sizeBytes] of tensorsOf(graph, row, 'outputs', at)) {
      if (this.tensors.has(name)) throw new UserError(`tensor "${name}" is written again`, { at });
      this.tensors.set(name, { sizeBytes, writeNs: span, reads: [] });
    }
  }

  /** `[ns, bytes]` at every tick where tensors come or go; what comes is there before others go. */
  timeline(): { timeNs: number; bytes: number; peakBytes: number }[] {
    const changes: { timeNs: number; bytes: number }[] = [];
    for (const { sizeBytes, writeNs, reads } of this.tensors.values()) {
      changes.push({ timeNs: writeNs[0], bytes: sizeBytes });
      const last = reads.reduce((end, read) => Math.max(end, read[1]), -1);
      if (last >= 0) changes.push({ timeNs: last, bytes: -sizeBytes });
    }
    changes.sort((a, b) => a.timeNs - b.timeNs || b.bytes - a.bytes);
    const ticks: { timeNs: number; bytes: number; peakBytes: number }[] = [];
    let sum = 0;
    for (const { timeNs, bytes } of changes) {
      sum += bytes;
      const last = ticks[ticks.length - 1];
      if (last?.timeNs !== timeNs) ticks.push({ timeNs, bytes: sum, peakBytes: sum });
      else {
        last.bytes = sum;
        last.peakBytes = Math.max(last.peakBytes, sum);
      }
    }
    return ticks;
  }

  peakBytes(): number {
    return this.timeline().reduce((peak, tick) => Math.max(peak, tick.peakBytes), 0);
  }

  /** Events of Chrome's trace viewer, times in us. */
  chromeTrace(npu: number): { traceEvents: readonly object[] } {
    const us = (ns: number): number => ns / 1000;
    const events: object[] = [];
    const span = (
      category: string,
      name: string,
      [start, end]: readonly [number, number],
    ): void => {
      const common = { name, cat: category, pid: npu, tid: category };
      events.push({ ...common, ph: 'B', ts: us(start) }, { ...common, ph: 'E', ts: us(end) });
    };
    for (const [name, { writeNs, reads }] of this.tensors) {
      span('tensorWrite', name, writeNs);
      for (const read of reads) span('tensorRead', name, read);
      const last = reads.reduce((end, read) => Math.max(end, read[1]), writeNs[1]);
      span('tensorLifetime', name, [writeNs[0], last]);
    }
    for (const { timeNs, bytes } of this.timeline()) {
      const args = { MB: bytes / 2 ** 20 };
      const common = { name: 'GPU Memory Usage (MB)', pid: npu, args };
      events.push({ ...common, ph: 'C', ts: us(timeNs) });
    }
    return { traceEvents: events };
  }
}

/** As ASTRA-sim prints it: 1024-based, two decimals. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(2)} ${units[unit]}`;
}

function tensorsOf(
  graph: ExecutionGraph,
  row: number,
  attribute: 'inputs' | 'outputs',
  at: string,
): [string, number][] {
  const found = graph.extra.get(row)?.find(({ name }) => name === attribute);
  const list = found?.value;
  if (found?.kind !== 'string_list' || !Array.isArray(list)) {
    throw new UserError(`track-local-mem needs attribute ${attribute}, a list of strings`, { at });
  }
  const tensors: [string, number][] = [];
  for (let i = 0; i + 1 < list.length; i += 2) {
    const sizeBytes = Number(list[i + 1]);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
      throw new UserError(`${attribute}: "${list[i + 1]}" is no number of bytes`, { at });
    }
    if (sizeBytes > 0) tensors.push([String(list[i]), sizeBytes]);
  }
  return tensors;
}
