/**
 * A table of a flatbuffer, read with its bounds checked (https://flatbuffers.dev/internals): a signed offset
 * back to the vtable, which holds the place of each field; strings, vectors and tables lie behind unsigned
 * offsets. What a sound buffer refers to lies side by side, so all of it together is no longer than the
 * buffer: one that refers to the same bytes again and again, or to itself, is told by the sum.
 */
export class FlatTable {
  private readonly buffer: Budget;
  private readonly at: number;
  private readonly vtable: number;
  private readonly vtableBytes: number;

  private constructor(buffer: Budget, at: number) {
    const { view } = buffer;
    this.buffer = buffer;
    this.at = at;
    this.vtable = at - view.getInt32(at, true);
    this.vtableBytes = view.getUint16(this.vtable, true);
    buffer.spend(4);
  }

  /** @throws RangeError, as everything here, at a read outside of `view` */
  static root(view: DataView): FlatTable {
    return new FlatTable(new Budget(view), view.getUint32(0, true));
  }

  uint8(slot: number): number {
    const place = this.place(slot);
    return place === undefined ? 0 : this.buffer.view.getUint8(place);
  }

  int16(slot: number): number {
    const place = this.place(slot);
    return place === undefined ? 0 : this.buffer.view.getInt16(place, true);
  }

  int64(slot: number): number {
    const place = this.place(slot);
    return place === undefined ? 0 : this.buffer.int64(place);
  }

  table(slot: number): FlatTable | undefined {
    const place = this.place(slot);
    return place === undefined ? undefined : new FlatTable(this.buffer, this.behind(place));
  }

  tables(slot: number): FlatTable[] {
    const places = this.vector(slot, 4);
    return places.map((place) => new FlatTable(this.buffer, this.behind(place)));
  }

  /** A vector of structs of two int64. */
  pairs(slot: number): [number, number][] {
    const { buffer } = this;
    return this.vector(slot, 16).map((place) => [buffer.int64(place), buffer.int64(place + 8)]);
  }

  /** Passes over a string. */
  string(slot: number): void {
    this.span(slot, 1);
  }

  /** Where the elements are. */
  private vector(slot: number, elementBytes: number): number[] {
    const { start, length } = this.span(slot, elementBytes);
    return Array.from({ length }, (_, i) => start + i * elementBytes);
  }

  private span(slot: number, elementBytes: number): { start: number; length: number } {
    const place = this.place(slot);
    if (place === undefined) return { start: 0, length: 0 };
    const start = this.behind(place);
    const length = this.buffer.view.getUint32(start, true);
    this.buffer.spend(length * elementBytes);
    return { start: start + 4, length };
  }

  private place(slot: number): number | undefined {
    const entry = 4 + 2 * slot;
    if (entry + 2 > this.vtableBytes) return undefined;
    const field = this.buffer.view.getUint16(this.vtable + entry, true);
    return field === 0 ? undefined : this.at + field;
  }

  private behind(place: number): number {
    return place + this.buffer.view.getUint32(place, true);
  }
}

/** The bytes, and how many of them nothing has referred to yet. */
class Budget {
  readonly view: DataView;
  private left: number;

  constructor(view: DataView) {
    this.view = view;
    this.left = view.byteLength;
  }

  int64(place: number): number {
    return Number(this.view.getBigInt64(place, true));
  }

  spend(bytes: number): void {
    this.left -= bytes;
    if (this.left < 0) throw new RangeError('a flatbuffer that refers to more bytes than it has');
  }
}
