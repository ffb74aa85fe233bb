/** Flags that say how the loop talks to the other two stages; results do not depend on them. */
import { UserError } from '@astrolabe/base';
import { positiveNumber } from '@astrolabe/base/cli';
import { type Command, Option } from 'commander';
import { splitCommand } from './carriers/stage-command.js';
import {
  type ExportFormat,
  type ExportOptions,
  type ExportScope,
  exportFormats,
  exportScopes,
} from './exporter.js';

export const carriers = ['in-process', 'pipe', 'files', 'astra-sim', 'llmservingsim'] as const;
type Carrier = (typeof carriers)[number];

/** Node's timers hold no more: 24 days. */
const longestTimeoutMs = 2 ** 31 - 1;

export interface CarrierOptions {
  readonly carrier: Carrier;
  /** Words of a command in place of ours. */
  readonly traceGenerator?: readonly string[] | undefined;
  readonly systemSimulator?: readonly string[] | undefined;
  /** Folder for every stream of the run. */
  readonly keep?: string | undefined;
  /** Folder of a kept run whose answers are used. */
  readonly replay?: string | undefined;
  readonly stageTimeoutMs: number;
  /** Traces for other simulators. */
  readonly export?: ExportOptions | undefined;
}

export function addCarrierOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--carrier <name>',
        'how stages are joined (default: in-process; pipe with CMDs)',
      ).choices(carriers),
    )
    .option('--trace-generator <cmd>', 'a command in place of trace-generator (no shell)')
    .option('--system-simulator <cmd>', 'a command in place of system-simulator (no shell)')
    .option('--keep <dir>', 'keeps every stream between the stages, for replay one by one')
    .option('--replay <dir>', 'takes the answers of a kept run instead of simulating')
    .option('--stage-timeout <s>', 'longest wait for one answer of a stage', positiveNumber, 60)
    .addOption(
      new Option('--export <format>', 'also writes traces for other simulators').choices(
        exportFormats,
      ),
    )
    .option('--export-dir <dir>', 'where they go')
    .addOption(
      new Option('--export-scope <scope>', 'one graph an NPU for the whole run, or per iteration')
        .choices(exportScopes)
        .default('run'),
    );
}

/** @param raw what commander parsed */
export function carrierOptions(raw: Readonly<Record<string, unknown>>): CarrierOptions {
  const words = (text: unknown, flag: string): readonly string[] | undefined =>
    text === undefined ? undefined : splitCommand(String(text), flag);
  const traceGenerator = words(raw.traceGenerator, '--trace-generator');
  const systemSimulator = words(raw.systemSimulator, '--system-simulator');
  const foreign = traceGenerator !== undefined || systemSimulator !== undefined;
  const carrier = (raw.carrier as Carrier | undefined) ?? (foreign ? 'pipe' : 'in-process');
  if (carrier === 'in-process' && foreign) {
    throw new UserError('a stage of its own needs a carrier between processes', {
      at: '--carrier in-process',
      hint: 'use --carrier pipe (the default with a command) or files',
    });
  }
  const binary = carrier === 'astra-sim' || carrier === 'llmservingsim';
  if (binary && (systemSimulator === undefined || traceGenerator !== undefined)) {
    throw new UserError('needs the binary as --system-simulator, and our own trace generator', {
      at: `--carrier ${carrier}`,
    });
  }
  if (
    raw.replay !== undefined &&
    (foreign || raw.keep !== undefined || raw.carrier !== undefined)
  ) {
    throw new UserError('a replay starts no stages and keeps nothing', { at: '--replay' });
  }
  return {
    carrier,
    traceGenerator,
    systemSimulator,
    keep: raw.keep as string | undefined,
    replay: raw.replay as string | undefined,
    stageTimeoutMs: Math.min((raw.stageTimeout as number) * 1000, longestTimeoutMs),
    export: exportOptions(raw),
  };
}

function exportOptions(raw: Readonly<Record<string, unknown>>): ExportOptions | undefined {
  if ((raw.export === undefined) !== (raw.exportDir === undefined)) {
    throw new UserError('go together', { at: '--export and --export-dir' });
  }
  if (raw.export === undefined) return undefined;
  return {
    format: raw.export as ExportFormat,
    folder: raw.exportDir as string,
    scope: raw.exportScope as ExportScope,
  };
}
