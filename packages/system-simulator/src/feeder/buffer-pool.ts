/**
 * Memory that programs give back: an iteration's program lives for one iteration, and an allocation of
 * some kilobytes each time would cost more than the work on them. Sizes bytes, powers of two.
 */
const smallest = 10;

export class BufferPool {
  /** By the logarithm of their size. */
  private readonly free: ArrayBuffer[][] = [];

  /** At least `sizeBytes`, with whatever was in it. */
  take(sizeBytes: number): ArrayBuffer {
    const log = Math.max(smallest, 32 - Math.clz32(Math.max(sizeBytes - 1, 0)));
    return this.free[log]?.pop() ?? new ArrayBuffer(2 ** log);
  }

  give(buffer: ArrayBuffer): void {
    const log = Math.log2(buffer.byteLength);
    this.free[log] ??= [];
    this.free[log].push(buffer);
  }
}
