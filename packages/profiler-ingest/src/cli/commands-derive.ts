/** Commands that derive a profile from something else: fit, roofline. */
import { UserError } from '@astrolabe/base';
import { rooflineTable } from '@astrolabe/profile';
import { encodeProfile } from '@astrolabe/profile/arrow';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { defaultFit, fitProfile } from '../fit/fit-profile.js';
import { printJson } from '../print-json.js';
import { withNames } from './commands-read.js';
import { deviceOf, readDevices } from './devices.js';
import { loadShape } from './load-model.js';
import { type GivenNames, loadTable } from './load-table.js';
import { shortDtype } from './open-profiles.js';
import { printLines, writeOutput } from './output.js';

export function degreesOption(what: string): Option {
  return new Option('--tp <degrees>', what).argParser(degrees).default([1], '1');
}

function degrees(text: string): number[] {
  const list = text.split(',').map(Number);
  if (!list.every((tp) => Number.isInteger(tp) && tp >= 1)) {
    throw new InvalidArgumentError('expected degrees like 1,2,4');
  }
  return list;
}

export function addDerivingCommands(program: Command): void {
  withNames(
    program
      .command('fit')
      .description('derive a compact latency model with its own error card')
      .argument('<input>', 'Arrow profile or bundle directory')
      .option('-o, --output <file>', 'JSON file; - is stdout', '-'),
  ).action(async (input: string, options: GivenNames & { output: string }) => {
    const fitted = fitProfile(loadTable(input, options), defaultFit);
    await writeOutput(options.output, printJson(fitted));
  });
  program
    .command('roofline')
    .description('make a profile from a data sheet, without any measurement')
    .option('--device <name>', 'shipped device or JSON file of the same form; see --list')
    .option('--list', 'list the shipped devices')
    .option('--model <name>', 'a shipped model, or a Hugging Face config.json')
    .option('--name <name>', "the model's name in the profile; by default from the path")
    .option('--dtype <name>', 'bf16, fp16, fp8', 'bf16')
    .addOption(degreesOption('tensor-parallel degrees'))
    .option('-o, --output <file>', 'Arrow file; - is stdout', '-')
    .action(runRoofline);
}

interface RooflineOptions {
  readonly device?: string;
  readonly list?: boolean;
  readonly model?: string;
  readonly name?: string;
  readonly dtype: string;
  readonly tp: readonly number[];
  readonly output: string;
}

async function runRoofline(options: RooflineOptions): Promise<void> {
  if (options.list === true) {
    await printLines(
      readDevices().map(
        ({
          name,
          memory_bandwidth_gb_s: bandwidth,
          memory_gib: size,
          peak_tflops: peak,
          ...sheet
        }) =>
          `${name.padEnd(12)} ${String(peak.bf16).padStart(6)} TFLOP/s bf16 ` +
          `${String(bandwidth).padStart(5)} GB/s ${String(size).padStart(4)} GiB ` +
          `${String(sheet.tdp_watts ?? '?').padStart(5)} W ` +
          `${String(sheet.link?.gb_s ?? sheet.pcie_gb_s ?? '?').padStart(4)} GB/s link  ` +
          sheet.source,
      ),
    );
    return;
  }
  if (options.device === undefined || options.model === undefined) {
    throw new UserError('roofline needs --device and --model', { hint: 'or --list' });
  }
  const shape = loadShape(options.model, options.name);
  const device = deviceOf(options.device);
  const table = rooflineTable(device, shape, shortDtype(options.dtype), options.tp);
  if (device.roofline_caution !== undefined) {
    process.stderr.write(`profiler-ingest: note: ${device.name}: ${device.roofline_caution}\n`);
  }
  await writeOutput(options.output, encodeProfile(table));
}
