/** Flags of the engine's own behaviour: host work, speculation, priority, ends and clients. */
import { nsPerMs } from '@astrolabe/base';
import { booleanFlag, fraction, nonNegativeInteger, positiveNumber } from '@astrolabe/base/cli';
import {
  batchPaddings,
  type Calibration,
  type EngineOverrides,
  type HostStep,
  hostStepSchema,
  type OutputPath,
  outputPathSchema,
} from '@astrolabe/config';
import { type Command, Option } from 'commander';
import { parseSlo, type SloTargets } from '../slo.js';

export interface EngineFlags {
  /** `vllm`: start values where the calibration has none. */
  readonly hostModel: 'calibrated' | 'vllm' | 'none';
  readonly clientTimeoutS?: number | undefined;
  readonly slo?: SloTargets | undefined;
}

export function addEngineOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--host-model <name>',
        'host time of each step and token: as calibrated, with start values for other devices ' +
          '(default); start values for all; none',
      ).choices(['calibrated', 'vllm', 'none']),
    )
    .addOption(
      new Option('--scheduling-policy <name>', 'order of requests').choices(['fcfs', 'priority']),
    )
    .addOption(
      new Option(
        '--batch-padding <how>',
        'what batches are padded to (default: by device)',
      ).choices(batchPaddings),
    )
    .option('--bucket-padding-gap <n>', 'tokens between large buckets', nonNegativeInteger)
    .option('--enable-attn-offloading [bool]', 'decode attention in PIM', booleanFlag)
    .option('--enable-sub-batch-interleaving [bool]', 'halves in turn with PIM', booleanFlag)
    .option('--speculative-tokens <n>', 'draft tokens verified per decode', nonNegativeInteger)
    .option('--speculative-acceptance <f>', 'chance that a draft token is accepted', fraction)
    .option('--speculative-draft-ms <ms>', 'one pass of the draft model', positiveNumber)
    .option('--eos-share <f>', 'requests that end by a token nobody foresaw', fraction)
    .option(
      '--slo <targets>',
      'targets for goodput, repeatable: [class:]ttft=200ms,tpot=50ms,latency=10s',
      parseSlo,
    )
    .option('--client-timeout <s>', 'clients go away when not served by then', positiveNumber);
}

export function engineFlags(raw: Readonly<Record<string, unknown>>): EngineFlags {
  return {
    hostModel: (raw.hostModel as EngineFlags['hostModel'] | undefined) ?? 'calibrated',
    clientTimeoutS: raw.clientTimeout as number | undefined,
    slo: raw.slo as SloTargets | undefined,
  };
}

/** The same flags as entries of an instance. */
export function engineOverrides(raw: Readonly<Record<string, unknown>>): EngineOverrides {
  const draftMs = raw.speculativeDraftMs as number | undefined;
  return {
    scheduling_policy: raw.schedulingPolicy as EngineOverrides['scheduling_policy'],
    batch_padding: raw.batchPadding as EngineOverrides['batch_padding'],
    bucket_padding_gap: raw.bucketPaddingGap as number | undefined,
    enable_attn_offloading: raw.enableAttnOffloading as boolean | undefined,
    enable_sub_batch_interleaving: raw.enableSubBatchInterleaving as boolean | undefined,
    speculative_tokens: raw.speculativeTokens as number | undefined,
    speculative_acceptance: raw.speculativeAcceptance as number | undefined,
    speculative_draft_ns: draftMs === undefined ? undefined : Math.round(draftMs * nsPerMs),
    eos_share: raw.eosShare as number | undefined,
  };
}

/** The flag, where these devices' hosts take another time than as calibrated; else nothing. */
export function hostModelFlag(
  name: EngineFlags['hostModel'],
  calibration: Calibration,
  hardware: readonly string[],
): string[] {
  const hostOf = (model: EngineFlags['hostModel']): string => {
    const { steps = {}, output } = hostModel(model, calibration, hardware);
    return JSON.stringify([steps, output]);
  };
  return hostOf(name) === hostOf('calibrated') ? [] : [`--host-model ${name}`];
}

/**
 * Host work by hardware, and the way to the client, of which there is one: that of the first device
 * that has any. As calibrated means the start values for a device of which nothing is known: a host
 * takes some time.
 */
export function hostModel(
  name: EngineFlags['hostModel'],
  calibration: Calibration,
  hardware: readonly string[],
): { steps?: Record<string, HostStep | undefined>; output?: OutputPath | undefined } {
  if (name === 'none') return {};
  const steps: Record<string, HostStep | undefined> = {};
  let output: OutputPath | undefined;
  for (const device of hardware) {
    const known = calibration.devices[device];
    const starts = name === 'vllm' || known === undefined;
    steps[device] = known?.host_step ?? (starts ? hostStepSchema.parse({}) : undefined);
    output ??= known?.output_path ?? (starts ? outputPathSchema.parse({}) : undefined);
  }
  return { steps, output };
}
