/** What a planner's choices are made of: implementation names, true chunk sizes, an agreed order. */
import { type Algorithm, CollectiveKind } from '../collectives/phase.js';
import type { Stream } from '../collectives/streams.js';

export interface Implementation {
  readonly algorithm: Algorithm;
  readonly window: number;
  /** A `one*` form: one ring over all NPUs is the last dimension. */
  readonly whole: boolean;
}

export function parseAstraImplementation(name: string): Implementation {
  const whole = name.startsWith('one');
  const plain = whole ? name.charAt(3).toLowerCase() + name.slice(4) : name;
  const direct = /^direct(\d*)$/.exec(plain);
  if (direct !== null) {
    const window = direct[1] === '' ? Number.POSITIVE_INFINITY : Number(direct[1]);
    return { algorithm: 'direct', window, whole };
  }
  return { algorithm: plain as Algorithm, window: Number.POSITIVE_INFINITY, whole };
}

/** As many chunks as asked for, of the true size together; at least a byte per member each. */
export function trueChunks(
  kind: CollectiveKind,
  sizeBytes: number,
  splits: number,
  members: number,
): number[] {
  const least = kind === CollectiveKind.allGather ? 1 : members;
  const count = Math.max(1, Math.min(splits, Math.trunc(sizeBytes / least)));
  const chunk = Math.ceil(sizeBytes / count);
  const sizes: number[] = [];
  for (let left = sizeBytes; left > 0; left -= chunk) {
    sizes.push(Math.max(least, Math.min(left, chunk)));
  }
  return sizes;
}

/**
 * Phase p of chunk c comes before those of larger c + p, then of larger p. What a phase waits for, the
 * chunk's phase before or the queue's before, comes earlier in this order on every NPU: no cycle.
 */
export function agreeOnOrder(streams: readonly Stream[]): void {
  const entries = streams.flatMap((stream, chunk) =>
    stream.phases.map(({ queue }, phase) => ({ stream, phase, queue, step: chunk + phase })),
  );
  entries.sort((a, b) => a.step - b.step || a.phase - b.phase);
  for (const { stream, phase, queue } of entries) {
    queue.agreed ??= [];
    queue.agreed.push({ stream, phase });
  }
}
