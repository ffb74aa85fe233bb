/** A text file written line by line that appears under its name only when it is whole. */
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

const chunkLength = 1 << 18;

export class LineFile {
  private readonly path: string;
  private readonly temporary: string;
  private readonly descriptor: number;
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
    closeSync(this.descriptor);
    renameSync(this.temporary, this.path);
  }

  /** Leaves nothing behind. */
  discard(): void {
    closeSync(this.descriptor);
    rmSync(this.temporary, { force: true });
  }

  private flush(): void {
    writeSync(this.descriptor, this.parts.join(''));
    this.parts = [];
    this.length = 0;
  }
}
