/** A text file written line by line that appears under its name only when it is whole. */
import { closeSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { assert } from '@astrolabe/base';
import { writeFully } from '@astrolabe/base/cli';

const chunkLength = 1 << 18;

export class LineFile {
  private readonly path: string;
  private readonly temporary: string;
  /** Undefined once closed. */
  private descriptor: number | undefined;
  private parts: string[] = [];
  private length = 0;

  constructor(path: string) {
    this.path = path;
    this.temporary = `${path}.${process.pid}.tmp`;
    mkdirSync(dirname(path), { recursive: true });
    this.descriptor = openSync(this.temporary, 'w');
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
    renameSync(this.temporary, this.path);
  }

  /** Leaves nothing behind. */
  discard(): void {
    this.close();
    rmSync(this.temporary, { force: true });
  }

  private close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }

  private flush(): void {
    assert(this.descriptor !== undefined, 'a write to a closed file');
    writeFully(this.descriptor, Buffer.from(this.parts.join('')), this.path);
    this.parts = [];
    this.length = 0;
  }
}
