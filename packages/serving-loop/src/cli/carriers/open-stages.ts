/** The pipe and files carriers with our own commands or the user's as stages. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isOurs, makeFolder } from '@astrolabe/base/cli';
import { type GraphFiles, graphFileName } from '@astrolabe/chakra';
import type { AnsweredBy, Completion } from '@astrolabe/system-simulator';
import type { ForeignStages } from '../../trust-card.js';
import type { CarrierOptions } from '../carrier-options.js';
import type { OpenedBackend } from './opened-backend.js';
import { PipeBackend } from './pipe.js';
import { Recorder, readLookups } from './recorder.js';
import { FrameWatcher, LineWatcher } from './relay-watcher.js';
import { makeTemporaryFolder, type StageCommand } from './stage.js';

export interface StageFlags {
  /** Flags with which our own commands see the same inputs as the loop does. */
  readonly generatorFlags: readonly string[];
  readonly simulatorFlags: readonly string[];
}

export function openStages(options: CarrierOptions, flags: StageFlags): OpenedBackend {
  const files = options.carrier === 'files';
  const temporary = makeTemporaryFolder();
  const lookups = join(temporary.path, 'lookups.json');
  const graphs = join(options.keep ?? temporary.path, 'graphs');
  const { keep } = options;
  const recorder =
    keep === undefined ? undefined : new Recorder(keep, files ? 'control' : 'graphs');
  if (files) makeFolder(graphs);
  const generator = stageCommand('trace-generator', options.traceGenerator, [
    ...flags.generatorFlags,
    '--lookups',
    lookups,
    ...(files ? ['--output', join(graphs, 'step')] : []),
  ]);
  const simulator = stageCommand('system-simulator', options.systemSimulator, [
    ...flags.simulatorFlags,
    ...(files ? ['--control'] : []),
  ]);
  const used = new UsedFiles(keep === undefined && !generator.foreign);
  const backend = new PipeBackend(
    {
      generator,
      simulator,
      timeoutMs: options.stageTimeoutMs,
      watcher: files ? new LineWatcher((line) => used.named(line)) : new FrameWatcher(),
      ...(recorder === undefined ? {} : { onRelay: (chunk) => recorder.relayed(chunk) }),
    },
    { recorder, onCompletion: (completion) => used.finished(completion) },
  );
  return {
    backend,
    finish: async () => {
      await backend.close();
      const report = {
        lookups: generator.foreign ? undefined : readLookups(lookups),
        foreign: foreignStages(options, backend.by),
      };
      recorder?.commit(report);
      temporary.remove();
      return report;
    },
    abort: async () => {
      await backend.abort();
      recorder?.breakOff();
      temporary.remove();
    },
  };
}

/** Commands of the user's that do not say that they are ours. A simulator says it of its generator, too. */
function foreignStages(options: CarrierOptions, by: AnsweredBy): ForeignStages {
  const { traceGenerator, systemSimulator } = options;
  return {
    ...(traceGenerator === undefined || isOurs(by.traceGenerator)
      ? {}
      : { traceGenerator: traceGenerator.join(' ') }),
    ...(systemSimulator === undefined || isOurs(by.systemSimulator)
      ? {}
      : { systemSimulator: systemSimulator.join(' ') }),
  };
}

/** The user's command, or ours with its flags. */
function stageCommand(
  name: string,
  words: readonly string[] | undefined,
  flags: readonly string[],
): StageCommand {
  if (words !== undefined) return { words, foreign: true };
  // The same depth below packages/ in src and in dist.
  const script = fileURLToPath(new URL(`../../../../${name}/bin/${name}.js`, import.meta.url));
  return { words: [process.execPath, script, ...flags], foreign: false };
}

/** Graph files that nobody wants any more go at once: a long run would fill the disk. */
class UsedFiles {
  private readonly remove: boolean;
  private readonly files = new Map<string, readonly string[]>();

  constructor(remove: boolean) {
    this.remove = remove;
  }

  /** A control line has passed. */
  named(line: string): void {
    if (!this.remove || line.includes('"advanceNs"')) return;
    const files = JSON.parse(line) as GraphFiles;
    this.files.set(
      keyOf(files),
      files.npus.map((npu) => graphFileName(files.prefix, npu)),
    );
  }

  finished(completion: Completion): void {
    const key = keyOf(completion);
    for (const path of this.files.get(key) ?? []) rmSync(path, { force: true });
    this.files.delete(key);
  }
}

function keyOf(record: { lane: number; instance: number; iteration: number }): string {
  return `${record.lane}/${record.instance}/${record.iteration}`;
}
