/**
 * The backend that the carrier flags ask for. Whatever it is made of, it is ended by `finish` after a
 * run or by `abort` after a failure, and leaves no process and no temporary file.
 */
import { join } from 'node:path';
import type { Cluster } from '@astrolabe/config';
import type { LatencyModel } from '@astrolabe/profile';
import { clusterMachine, createMachine } from '@astrolabe/system-simulator';
import type { TraceGenerator } from '@astrolabe/trace-generator';
import { InProcessBackend } from '../../carriers/in-process.js';
import type { CarrierOptions } from '../carrier-options.js';
import { openStages, type StageFlags } from './open-stages.js';
import type { OpenedBackend } from './opened-backend.js';
import { keptNames, type LookupCounts, Recorder, readLookups } from './recorder.js';
import { RecordingBackend } from './recording.js';
import { ReplayBackend } from './replay.js';

export interface BackendInputs extends StageFlags {
  readonly options: CarrierOptions;
  readonly cluster: Cluster;
  /** Built only when the generator runs in this process. */
  readonly generator: () => Promise<{
    readonly generator: TraceGenerator;
    readonly models: ReadonlySet<LatencyModel>;
  }>;
}

export async function openBackend(inputs: BackendInputs): Promise<OpenedBackend> {
  const { options } = inputs;
  if (options.replay !== undefined) return openReplay(options.replay);
  return options.carrier === 'in-process' ? openInProcess(inputs) : openStages(options, inputs);
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
      const counts = countLookups(made.models);
      recorder?.commit(counts);
      return counts;
    },
    abort: async () => recorder?.breakOff(),
  };
}

function openReplay(folder: string): OpenedBackend {
  const backend = new ReplayBackend(folder);
  return {
    backend,
    finish: async () => {
      await backend.close();
      return readLookups(join(folder, keptNames.lookups));
    },
    abort: async () => {
      await backend.close();
    },
  };
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
