/** A text file written line by line that appears under its name only when it is whole. */
import { closeSync, openSync } from 'node:fs';
import { assert } from '@astrolabe/base';
import {
  commitWhole,
  discardWhole,
  type WholeFile,
  wholeFile,
  writeFully,
} from '@astrolabe/base/cli';

const chunkLength = 1 << 18;

export class LineFile {
  private readonly file: WholeFile;
  /** Undefined once closed. */
  private descriptor: number | undefined;
  private parts: string[] = [];
  private length = 0;

  constructor(path: string) {
    this.file = wholeFile(path);
    this.descriptor = openSync(this.file.temporary, 'w');
  }

  write(line: string): void {
    this.parts.push(line, '\n');
    this.length += line.length + 1;
    if (this.length >= chunkLength) this.flush();
  }

  /** Gives the file its name. */
  commit(): void {
    this.flush();
    this.close();
    commitWhole(this.file);
  }

  /** Leaves nothing behind. */
  discard(): void {
    this.close();
    discardWhole(this.file);
  }

  private close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }

  private flush(): void {
    assert(this.descriptor !== undefined, 'a write to a closed file');
    writeFully(this.descriptor, Buffer.from(this.parts.join('')), this.file.path);
    this.parts = [];
    this.length = 0;
  }
}
