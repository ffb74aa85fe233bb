/**
 * The backend that the carrier flags ask for. Whatever it is made of, it is ended by `finish` after a
 * run or by `abort` after a failure, and leaves no process and no temporary file.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cluster } from '@astrolabe/config';
import type { LatencyModel } from '@astrolabe/profile';
import { clusterMachine, createMachine } from '@astrolabe/system-simulator';
import type { TraceGenerator } from '@astrolabe/trace-generator';
import type { Backend } from '../../backend.js';
import { InProcessBackend } from '../../carriers/in-process.js';
import type { CarrierOptions } from '../carrier-options.js';
import { PipeBackend } from './pipe.js';
import { Recorder } from './recorder.js';
import { RecordingBackend } from './recording.js';
import { FrameWatcher, LineWatcher } from './relay-watcher.js';
import { ReplayBackend } from './replay.js';
import type { StageCommand } from './stage.js';

/** How many latency lookups there were, and how many lay outside the measurements. */
export interface LookupCounts {
  readonly total: number;
  readonly extrapolated: number;
}

export interface OpenedBackend {
  readonly backend: Backend;
  /** Ends all stages in good order. @returns lookups, if the generator was ours */
  finish(): Promise<LookupCounts | undefined>;
  /** Ends all stages at once. */
  abort(): Promise<void>;
}

export interface BackendInputs {
  readonly options: CarrierOptions;
  readonly cluster: Cluster;
  /** Built only when the generator runs in this process. */
  readonly generator: () => Promise<{
    readonly generator: TraceGenerator;
    readonly models: ReadonlySet<LatencyModel>;
  }>;
  /** Flags with which our own commands see the same inputs as we do. */
  readonly generatorFlags: readonly string[];
  readonly simulatorFlags: readonly string[];
}

export async function openBackend(inputs: BackendInputs): Promise<OpenedBackend> {
  const { options } = inputs;
  if (options.replay !== undefined) return openReplay(options.replay);
  return options.carrier === 'in-process' ? openInProcess(inputs) : openPipe(inputs);
}

async function openInProcess({
  options,
  cluster,
  generator,
}: BackendInputs): Promise<OpenedBackend> {
  const made = await generator();
  const machine = createMachine(clusterMachine(cluster));
  const recorder = options.keep === undefined ? undefined : new Recorder(options.keep, 'graphs');
  const backend =
    recorder === undefined
      ? new InProcessBackend(made.generator, machine)
      : new RecordingBackend(made.generator, machine, recorder);
  return {
    backend,
    finish: async () => {
      recorder?.close(true);
      return countLookups(made.models);
    },
    abort: async () => recorder?.close(false),
  };
}

function openReplay(folder: string): OpenedBackend {
  const backend = new ReplayBackend(folder);
  const end = async (): Promise<undefined> => {
    await backend.close();
  };
  return { backend, finish: end, abort: end };
}

async function openPipe(inputs: BackendInputs): Promise<OpenedBackend> {
  const { options } = inputs;
  const files = options.carrier === 'files';
  const temporary = mkdtempSync(join(tmpdir(), 'serving-loop-'));
  const folder = options.keep ?? temporary;
  const lookups = join(temporary, 'lookups.json');
  const recorder =
    options.keep === undefined
      ? undefined
      : new Recorder(options.keep, files ? 'control' : 'graphs');
  if (files) mkdirSync(join(folder, 'graphs'), { recursive: true });
  const generator = stageCommand('trace-generator', options.traceGenerator, [
    ...inputs.generatorFlags,
    '--lookups',
    lookups,
    ...(files ? ['--output', join(folder, 'graphs', 'step')] : []),
  ]);
  const simulator = stageCommand('system-simulator', options.systemSimulator, [
    ...inputs.simulatorFlags,
    ...(files ? ['--control'] : []),
  ]);
  const backend = new PipeBackend(
    {
      generator,
      simulator,
      timeoutMs: options.stageTimeoutMs,
      watcher: files ? new LineWatcher() : new FrameWatcher(),
      ...(recorder === undefined ? {} : { onRelay: (chunk) => recorder.relayed(chunk) }),
    },
    recorder,
  );
  const clean = (whole: boolean): void => {
    recorder?.close(whole);
    rmSync(temporary, { recursive: true, force: true });
  };
  return {
    backend,
    finish: async () => {
      await backend.close();
      const counts = generator.foreign ? undefined : readLookups(lookups);
      clean(true);
      return counts;
    },
    abort: async () => {
      await backend.abort();
      clean(false);
    },
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

function countLookups(models: ReadonlySet<LatencyModel>): LookupCounts {
  let total = 0;
  let extrapolated = 0;
  for (const { counters } of models) {
    total += counters.exact + counters.interpolated + counters.extrapolated;
    extrapolated += counters.extrapolated;
  }
  return { total, extrapolated };
}

/** Written by our trace-generator at its end; a run without iterations starts none. */
function readLookups(path: string): LookupCounts | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as LookupCounts;
  } catch {
    return undefined;
  }
}
