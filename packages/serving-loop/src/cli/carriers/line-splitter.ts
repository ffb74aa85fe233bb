/** Text that comes in pieces, as lines. */
export class LineSplitter {
  /** The line that has not ended yet. */
  rest = '';

  /** @returns the lines that end in this piece */
  push(text: string): string[] {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    return lines;
  }
}
