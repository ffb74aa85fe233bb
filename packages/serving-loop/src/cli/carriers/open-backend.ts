/**
 * The backend that the carrier flags ask for. Whatever it is made of, it is ended by `finish` after a
 * run or by `abort` after a failure, and leaves no process and no temporary file.
 */
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import type { Cluster } from '@astrolabe/config';
import { countLookups, type LatencyModel } from '@astrolabe/profile';
import { clusterMachine, createMachine } from '@astrolabe/system-simulator';
import type { TraceGenerator } from '@astrolabe/trace-generator';
import { astraInputs } from '../../carriers/astra-inputs.js';
import { InProcessBackend } from '../../carriers/in-process.js';
import type { CarrierOptions } from '../carrier-options.js';
import { ExportingBackend } from '../exporter.js';
import { AstraSimBackend } from './astra-sim.js';
import { InteractiveBackend } from './interactive.js';
import { openStages, type StageFlags } from './open-stages.js';
import type { OpenedBackend } from './opened-backend.js';
import { keptNames, Recorder, readStages } from './recorder.js';
import { RecordingBackend } from './recording.js';
import { ReplayBackend } from './replay.js';
import { makeTemporaryFolder } from './stage.js';

interface BackendInputs extends StageFlags {
  readonly options: CarrierOptions;
  readonly cluster: Cluster;
  /** Built only when the generator runs in this process. */
  readonly generator: () => Promise<{
    readonly generator: TraceGenerator;
    readonly models: ReadonlySet<LatencyModel>;
  }>;
}

/** @throws UserError what the files of another simulator cannot say */
export async function openBackend(inputs: BackendInputs): Promise<OpenedBackend> {
  checkMeasuredLinks(inputs);
  checkPim(inputs);
  const opened = await openCarrier(inputs);
  const { options, cluster, generator } = inputs;
  if (options.export === undefined) return opened;
  // A generator of its own: what is counted and drawn for the run stays as without the export.
  const made = await generator();
  const exporter = new ExportingBackend(opened.backend, made.generator, cluster, options.export);
  return {
    backend: exporter,
    finish: async () => {
      if (isOurs(options)) await exporter.drain();
      const report = await opened.finish();
      exporter.commit();
      return report;
    },
    abort: async () => {
      await opened.abort();
      exporter.discard();
    },
  };
}

async function openCarrier(inputs: BackendInputs): Promise<OpenedBackend> {
  const { options } = inputs;
  if (options.replay !== undefined) return openReplay(options.replay);
  switch (options.carrier) {
    case 'in-process':
      return openInProcess(inputs);
    case 'astra-sim':
    case 'llmservingsim':
      return openBinary(inputs);
    default:
      return openStages(options, inputs);
  }
}

/** The files of ASTRA-sim and of LLMServingSim's have links only: other times would come out. */
function checkMeasuredLinks({ options, cluster }: BackendInputs): void {
  const { carrier } = options;
  const foreign = carrier === 'astra-sim' || carrier === 'llmservingsim';
  const exported = options.export !== undefined && options.export.format !== 'llmservingsim';
  if (cluster.measuredLinks === undefined || !(foreign || exported)) return;
  throw new UserError('ASTRA-sim has no measured links', {
    at: 'measured_links',
    hint: 'take them out of the cluster file, or use --carrier pipe without --export',
  });
}

/** Neither ASTRA-sim nor the schema that it reads has nodes that compute in memory. */
function checkPim({ options, cluster }: BackendInputs): void {
  const { carrier, export: exported } = options;
  const isChakra = exported !== undefined && exported.format !== 'llmservingsim';
  if (carrier !== 'astra-sim' && !isChakra) return;
  const instance = cluster.instances.find(
    ({ node, engine }) => engine.attentionOffload && cluster.nodes[node].pim !== undefined,
  );
  if (instance === undefined) return;
  throw new UserError('ASTRA-sim has no PIM', {
    at: `${instance.place}.enable_attn_offloading`,
    hint: '--export llmservingsim and --carrier llmservingsim have it',
  });
}

/** The stages are ours, and can be asked for what nobody waits for any more. */
function isOurs({ carrier, replay }: CarrierOptions): boolean {
  return replay === undefined && carrier !== 'astra-sim' && carrier !== 'llmservingsim';
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
      const report = { lookups: countLookups(made.models), foreign: {} };
      recorder?.commit(report);
      return report;
    },
    abort: async () => recorder?.breakOff(),
  };
}

/** A simulator that knows nothing of our streams; the generator runs here. */
async function openBinary({ options, cluster, generator }: BackendInputs): Promise<OpenedBackend> {
  const made = await generator();
  const temporary = makeTemporaryFolder();
  const common = {
    generator: made.generator,
    command: { words: options.systemSimulator!, foreign: true },
    folder: options.keep ?? temporary.path,
    keep: options.keep !== undefined,
    timeoutMs: options.stageTimeoutMs,
  };
  const backend =
    options.carrier === 'astra-sim'
      ? new AstraSimBackend({ ...common, inputs: astraInputs(cluster) })
      : new InteractiveBackend({ ...common, cluster });
  return {
    backend,
    finish: async () => {
      await backend.close();
      temporary.remove();
      const foreign = { systemSimulator: options.systemSimulator!.join(' ') };
      return { lookups: countLookups(made.models), foreign };
    },
    abort: async () => {
      await backend.abort();
      temporary.remove();
    },
  };
}

function openReplay(folder: string): OpenedBackend {
  const backend = new ReplayBackend(folder);
  return {
    backend,
    finish: async () => {
      await backend.close();
      return readStages(join(folder, keptNames.stages));
    },
    abort: async () => {
      await backend.close();
    },
  };
}
