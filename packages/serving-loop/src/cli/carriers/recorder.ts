/**
 * `--keep DIR`: every stream of a run, as it went over the wire, so that each stage can be run again
 * alone: `trace-generator.in.ndjson` (iterations and clock requests), `system-simulator.in.et` (graphs;
 * `.ndjson` control lines with the files carrier), `system-simulator.out.ndjson` (answers). The names
 * end in `.partial` until the run is over and all is well. `stages.json` is what is known of the
 * stages at its end: lookups of our generator, commands that are not ours.
 */
import { closeSync, existsSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseWith } from '@astrolabe/base';
import { makeFolder, readJson, writeFileWhole, writeFully } from '@astrolabe/base/cli';
import { type LookupCounts, lookupCountsSchema } from '@astrolabe/profile';
import { type StageReport, stageReportSchema } from './opened-backend.js';

const bufferBytes = 1 << 18;

export const keptNames = {
  asked: 'trace-generator.in.ndjson',
  graphs: 'system-simulator.in.et',
  control: 'system-simulator.in.ndjson',
  answered: 'system-simulator.out.ndjson',
  stages: 'stages.json',
} as const;

export class Recorder {
  readonly folder: string;
  private readonly askedFile: RecordFile;
  private readonly betweenFile: RecordFile;
  private readonly answeredFile: RecordFile;

  constructor(folder: string, between: 'graphs' | 'control') {
    this.folder = folder;
    makeFolder(folder);
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

  /** All is well: the files get their names. */
  commit(report: StageReport): void {
    for (const file of this.files) file.close(true);
    writeFileWhole(join(this.folder, keptNames.stages), `${JSON.stringify(report)}\n`);
  }

  /** Leaves the `.partial` names. */
  breakOff(): void {
    for (const file of this.files) file.close(false);
  }

  private get files(): readonly RecordFile[] {
    return [this.askedFile, this.betweenFile, this.answeredFile];
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
    writeFully(this.descriptor, bytes, this.path);
    this.parts = [];
    this.size = 0;
  }
}

/**
 * Absent after a run without iterations, which starts no stages.
 * @throws UserError when it is not what our generator writes
 */
export function readLookups(path: string): LookupCounts | undefined {
  return existsSync(path) ? parseWith(lookupCountsSchema, readJson(path), path) : undefined;
}

/** @throws UserError when it is not what a recorder writes */
export function readStages(path: string): StageReport {
  return parseWith(stageReportSchema, readJson(path), path);
}

function partialOf(path: string): string {
  return `${path}.partial`;
}
