/** Commands over several profiles or a workload: merge, check, transfer. */
import { parseWith, UserError } from '@astrolabe/base';
import { openInput, positiveInteger, readNdjson, Verdict } from '@astrolabe/base/cli';
import { encodeProfile } from '@astrolabe/profile/arrow';
import type { Command } from 'commander';
import { z } from 'zod';
import { type CheckedBatch, checkCoverage } from '../check.js';
import { mergeTables } from '../merge.js';
import { transferTable } from '../transfer.js';
import { degreesOption } from './commands-derive.js';
import { deviceOf } from './devices.js';
import { loadLatencyModel, loadShape } from './load-model.js';
import { loadTable } from './load-table.js';
import { shortDtype } from './open-profiles.js';
import { printLines, writeOutput } from './output.js';

const counts = z.array(z.number().int().nonnegative());
const batchSchema = z.looseObject({ newTokens: counts, contextTokens: counts });

interface TransferOptions {
  readonly fromDevice?: string;
  readonly toDevice?: string;
  readonly fromModel: string;
  readonly toModel?: string;
  readonly name?: string;
  readonly dtype?: string;
  readonly tp?: readonly number[];
  readonly output: string;
}

export function addCheckingCommands(program: Command): void {
  program
    .command('merge')
    .description('several profiles of one hardware, model, dtype and measurement kind as one')
    .argument('<inputs...>', 'Arrow profiles or bundle directories')
    .option('-o, --output <file>', 'Arrow file; - is stdout', '-')
    .action(async (inputs: string[], options: { output: string }) => {
      const tables = inputs.map((path) => loadTable(path, {}));
      await writeOutput(options.output, encodeProfile(mergeTables(tables, inputs)));
    });
  program
    .command('check')
    .description('what a profile lacks for a model, and how much of a workload it extrapolates')
    .argument('<profile>', 'Arrow profile, fitted JSON or bundle directory')
    .requiredOption('--model <name>', 'a shipped model, or a Hugging Face config.json')
    .option('--tp <degree>', 'TP degree', positiveInteger, 1)
    .option('--iterations <file>', 'batches as NDJSON (newTokens, contextTokens); - is stdin')
    .action(runCheck);
  program
    .command('transfer')
    .description('carry a measured profile to another device, TP degree, dtype or model')
    .argument('<measured>', 'Arrow profile or bundle directory')
    .requiredOption('--from-model <file>', 'config.json of the measured model')
    .option('--from-device <name>', "data sheet of the measured device; default: the profile's")
    .option('--to-device <name>', 'data sheet of the target; default: the same')
    .option('--to-model <file>', 'config.json of the target; default: the same')
    .option('--name <name>', "the target model's name; default: the profile's")
    .option('--dtype <name>', "target dtype; default: the profile's")
    .addOption(degreesOption('target TP degrees'))
    .option('-o, --output <file>', 'Arrow file; - is stdout', '-')
    .action(runTransfer);
}

async function runCheck(
  profile: string,
  options: { model: string; tp: number; iterations?: string },
): Promise<void> {
  const model = loadLatencyModel(profile, {});
  const shape = loadShape(options.model, undefined);
  const batches: CheckedBatch[] = [];
  if (options.iterations !== undefined) {
    const path = options.iterations;
    for await (const { value, line } of readNdjson(openInput(path), path)) {
      const batch = parseWith(batchSchema, value, `${path}:${line}`);
      if (batch.newTokens.length !== batch.contextTokens.length) {
        throw new UserError('newTokens and contextTokens differ in length', {
          at: `${path}:${line}`,
        });
      }
      batches.push(batch);
    }
  }
  const coverage = checkCoverage(model, shape, options.tp, batches);
  const share = coverage.lookups === 0 ? 0 : (100 * coverage.extrapolated) / coverage.lookups;
  const lines = [
    `missing operators  ${coverage.missing.length === 0 ? 'none' : coverage.missing.join(', ')}`,
  ];
  if (!model.tpDegrees.includes(options.tp)) {
    lines.push(`TP degrees         ${model.tpDegrees.join(', ')}, not ${options.tp}`);
  }
  if (batches.length > 0) {
    lines.push(
      `batches            ${batches.length}, up to ${coverage.mostTokens} tokens, context up to ${coverage.longestContext}`,
      `lookups            ${coverage.lookups}, ${share.toFixed(2)} % extrapolated`,
    );
  }
  await printLines(lines);
  if (coverage.missing.length > 0) throw new Verdict('the profile lacks operators of the model');
}

async function runTransfer(measured: string, options: TransferOptions): Promise<void> {
  const table = loadTable(measured, {});
  const { info } = table;
  const fromDevice = deviceOf(options.fromDevice ?? info.hardware);
  const toDevice = options.toDevice === undefined ? fromDevice : deviceOf(options.toDevice);
  const fromShape = loadShape(options.fromModel, info.model);
  const name = options.name ?? (options.toModel === undefined ? info.model : undefined);
  const toShape = loadShape(options.toModel ?? options.fromModel, name);
  const result = transferTable(
    table,
    { device: fromDevice, shape: fromShape, dtype: shortDtype(info.dtype) },
    { device: toDevice, shape: toShape, dtype: shortDtype(options.dtype ?? info.dtype) },
    options.tp ?? [1],
  );
  await writeOutput(options.output, encodeProfile(result));
}
