/** Copies of short pieces of the input, many to a buffer: one of its own costs a piece about 1 us. */
export class KeptBytes {
  private block = new Uint8Array(0);
  private used = 0;

  copy(from: Uint8Array, start: number, end: number): Uint8Array {
    const length = end - start;
    if (length > 4096) return from.slice(start, end);
    if (this.used + length > this.block.length) {
      this.block = new Uint8Array(1 << 16);
      this.used = 0;
    }
    const { block, used } = this;
    for (let i = 0; i < length; i++) block[used + i] = from[start + i];
    this.used += length;
    return block.subarray(used, used + length);
  }
}
