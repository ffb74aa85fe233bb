/** The command that writes a cluster file from data sheets, and rooflines to go with it. */
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { askedBy, UserError } from '@astrolabe/base';
import { positiveInteger, positiveNumber, readBytes } from '@astrolabe/base/cli';
import { type Dtype, type Instance, memoryBudget, resolveCluster } from '@astrolabe/config';
import { findModel } from '@astrolabe/config/cli';
import { type Device, type ProfileTable, rooflineTable } from '@astrolabe/profile';
import { decodeProfile, encodeProfile } from '@astrolabe/profile/arrow';
import { type Command, Option } from 'commander';
import { printShortJson } from '../print-json.js';
import { type SheetInstance, sheetCluster } from '../sheet-cluster.js';
import { sheetInstances } from './instance-argument.js';
import { shapeName } from './load-model.js';
import { findProfiles, shortDtype } from './open-profiles.js';
import { writeOutput } from './output.js';

interface Options {
  readonly model: string;
  readonly dtype?: string;
  readonly perNode: number;
  readonly nic: number;
  readonly rooflines?: string;
  readonly output: string;
}

/** As `roofline` calls them, and as engines do. */
const engineDtypes: Readonly<Record<string, Dtype>> = {
  bf16: 'bfloat16',
  fp16: 'float16',
  fp8: 'fp8',
  int8: 'int8',
};

export function addClusterCommand(program: Command): void {
  program
    .command('cluster')
    .description('write a cluster file from data sheets: memory, links, board power')
    .argument(
      '<instances...>',
      'model replicas: DEVICE[:tp=N][:pp=N][:ep=N][:count=N][:prefill or :decode]; a device is a ' +
        'shipped one or a JSON file of the same form',
    )
    .requiredOption('--model <name>', 'a shipped model, or the path of a Hugging Face config.json')
    .addOption(
      new Option('--dtype <name>', "weights and activations; default: the model's").choices(
        Object.keys(engineDtypes),
      ),
    )
    .option('--per-node <n>', 'most devices of a node', positiveInteger, 8)
    .option('--nic <Gbit/s>', 'of a network card, where KV goes between nodes', positiveNumber, 400)
    .option('--rooflines <dir>', 'also writes rooflines of the devices there, for --profiles')
    .option('-o, --output <file>', 'JSON file; - is stdout', '-')
    .action(runCluster);
}

async function runCluster(words: string[], options: Options): Promise<void> {
  const { model, dtype, output } = options;
  // A path in a cluster file is relative to the file.
  const folder = dirname(output);
  const modelName = model.endsWith('.json') ? relative(folder, model) : model;
  const shape = askedBy('--model', () => findModel(modelName, folder));
  const {
    file,
    instances,
    notes: ofSheets,
  } = sheetCluster(sheetInstances(words), {
    modelName,
    dtype: dtype === undefined ? undefined : engineDtypes[dtype],
    perNode: options.perNode,
    nicGbps: options.nic,
  });
  const notes = [...ofSheets];
  const at = output === '-' ? 'cluster' : output;
  const cluster = resolveCluster(file, at, { findModel: () => shape });
  cluster.instances.forEach((instance, i) => {
    checkFit(instance, instances[i]);
  });
  if (options.rooflines !== undefined) {
    await writeRooflines(options.rooflines, cluster.instances, instances, shapeName(model));
    for (const device of new Set(instances.map((one) => one.device))) {
      const { name, roofline_caution: caution } = device;
      if (caution !== undefined) notes.push(`${name}: ${caution}`);
    }
  }
  for (const note of notes) process.stderr.write(`profiler-ingest: note: ${note}\n`);
  await writeOutput(output, printShortJson(file));
}

/** @throws UserError as the engine would, with the degree that is enough */
function checkFit(instance: Instance, { text, ep }: SheetInstance): void {
  if (instance.model.moe === undefined && ep !== undefined) {
    throw new UserError(`ep: ${instance.model.name} has no experts`, { at: text });
  }
  try {
    memoryBudget({ ...instance, place: text });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const enough = [2, 4, 8, 16, 32, 64].find(
      (tp) => tp > instance.tp && fits({ ...instance, tp, ep: ep ?? (instance.ep > 1 ? tp : 1) }),
    );
    throw new UserError(error.message, {
      hint: enough === undefined ? 'it does not at tp=64 either' : `it does at tp=${enough}`,
    });
  }
}

function fits(instance: Instance): boolean {
  if (instance.model.numHeads % instance.tp !== 0) return false;
  try {
    memoryBudget(instance);
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

/** At every usual degree, so that files written one after another share a folder. */
const usualDegrees = [1, 2, 4, 8, 16];

/** @throws UserError before anything is written: no such peak, or a profile there that is none of ours */
async function writeRooflines(
  folder: string,
  instances: readonly Instance[],
  sheets: readonly SheetInstance[],
  model: string,
): Promise<void> {
  const files = new Map<string, ProfileTable>();
  instances.forEach((instance, i) => {
    const { device } = sheets[i];
    const dtype = shortDtype(instance.engine.dtype);
    const path = join(folder, device.name, model, `${dtype}.arrow`);
    if (files.has(path)) return;
    refuseMeasured(folder, path, device, model, dtype);
    const asked = sheets.filter((one) => one.device === device).map(({ tp }) => tp);
    const usual = usualDegrees.filter((tp) => instance.model.numHeads % tp === 0);
    const degrees = [...new Set([...usual, ...asked])].sort((a, b) => a - b);
    const shape = { ...instance.model, name: model };
    files.set(path, rooflineTable(device, shape, dtype, degrees));
  });
  for (const [path, table] of files) await writeOutput(path, encodeProfile(table));
}

/** A roofline would win over a measured profile beside it, or replace it. */
function refuseMeasured(
  folder: string,
  path: string,
  device: Device,
  model: string,
  dtype: string,
): void {
  if (!existsSync(folder)) return;
  const known = findProfiles(folder).find(
    (entry) => entry.hardware === device.name && entry.model === model && entry.dtype === dtype,
  );
  if (known === undefined) return;
  const isRoofline =
    known.path === path && decodeProfile(readBytes(path), path).info.measurement === 'roofline';
  if (isRoofline) return;
  throw new UserError(`there is a profile of ${device.name} that is no roofline`, {
    at: known.path,
    hint: 'give --rooflines another folder',
  });
}
