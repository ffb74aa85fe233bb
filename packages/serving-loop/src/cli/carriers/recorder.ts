/**
 * `--keep DIR`: every stream of a run, as it went over the wire, so that each stage can be run again
 * alone: `trace-generator.in.ndjson` (iterations and clock requests), `system-simulator.in.et` (graphs;
 * `.ndjson` control lines with the files carrier), `system-simulator.out.ndjson` (answers). The names
 * end in `.partial` until the run is over and all is well.
 */
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const bufferBytes = 1 << 18;

export const keptNames = {
  asked: 'trace-generator.in.ndjson',
  graphs: 'system-simulator.in.et',
  control: 'system-simulator.in.ndjson',
  answered: 'system-simulator.out.ndjson',
} as const;

export class Recorder {
  readonly folder: string;
  private readonly askedFile: RecordFile;
  private readonly betweenFile: RecordFile;
  private readonly answeredFile: RecordFile;

  constructor(folder: string, between: 'graphs' | 'control') {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    for (const name of Object.values(keptNames)) {
      rmSync(join(folder, name), { force: true });
      rmSync(partialOf(join(folder, name)), { force: true });
    }
    this.askedFile = new RecordFile(join(folder, keptNames.asked));
    this.betweenFile = new RecordFile(join(folder, keptNames[between]));
    this.answeredFile = new RecordFile(join(folder, keptNames.answered));
  }

  asked(line: string): void {
    this.askedFile.write(Buffer.from(`${line}\n`));
  }

  relayed(bytes: Uint8Array): void {
    this.betweenFile.write(bytes);
  }

  answered(line: string): void {
    this.answeredFile.write(Buffer.from(`${line}\n`));
  }

  /** @param whole false leaves the `.partial` names */
  close(whole: boolean): void {
    for (const file of [this.askedFile, this.betweenFile, this.answeredFile]) file.close(whole);
  }
}

class RecordFile {
  private readonly path: string;
  private readonly descriptor: number;
  private parts: Uint8Array[] = [];
  private size = 0;

  constructor(path: string) {
    this.path = path;
    this.descriptor = openSync(partialOf(path), 'w');
  }

  write(bytes: Uint8Array): void {
    // A copy: streams reuse their memory.
    this.parts.push(bytes.slice());
    this.size += bytes.length;
    if (this.size >= bufferBytes) this.flush();
  }

  close(whole: boolean): void {
    this.flush();
    closeSync(this.descriptor);
    if (whole) renameSync(partialOf(this.path), this.path);
  }

  private flush(): void {
    const bytes = Buffer.concat(this.parts);
    let done = 0;
    while (done < bytes.length) done += writeSync(this.descriptor, bytes, done);
    this.parts = [];
    this.size = 0;
  }
}

function partialOf(path: string): string {
  return `${path}.partial`;
}
