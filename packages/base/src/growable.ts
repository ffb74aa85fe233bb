/** Typed arrays that grow by doubling. */

/** Read `data` only up to `length`; growth replaces `data`. */
export class GrowableFloat64 {
  data: Float64Array;
  length = 0;

  constructor(capacity = 64) {
    this.data = new Float64Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.data.length) this.reserve(this.length + 1);
    this.data[this.length++] = value;
  }

  reserve(capacity: number): void {
    if (capacity <= this.data.length) return;
    const grown = new Float64Array(Math.max(capacity, this.data.length * 2, 16));
    grown.set(this.data.subarray(0, this.length));
    this.data = grown;
  }

  clear(): void {
    this.length = 0;
  }

  /** A copy of the used part. */
  toArray(): Float64Array {
    return this.data.slice(0, this.length);
  }
}

export class GrowableInt32 {
  data: Int32Array;
  length = 0;

  constructor(capacity = 64) {
    this.data = new Int32Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.data.length) this.reserve(this.length + 1);
    this.data[this.length++] = value;
  }

  reserve(capacity: number): void {
    if (capacity <= this.data.length) return;
    const grown = new Int32Array(Math.max(capacity, this.data.length * 2, 16));
    grown.set(this.data.subarray(0, this.length));
    this.data = grown;
  }

  clear(): void {
    this.length = 0;
  }

  /** A copy of the used part. */
  toArray(): Int32Array {
    return this.data.slice(0, this.length);
  }
}

/** A copy with room for twice as many, the rest 0. */
export function grownInt32(array: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2);
  grown.set(array);
  return grown;
}

export function grownFloat64(array: Float64Array): Float64Array<ArrayBuffer> {
  const grown = new Float64Array(array.length * 2);
  grown.set(array);
  return grown;
}
