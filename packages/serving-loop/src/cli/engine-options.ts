/** Flags of the engine's own behaviour: host work, speculation, priority, ends and clients. */
import { nsPerMs } from '@astrolabe/base';
import { booleanFlag, fraction, nonNegativeInteger, positiveNumber } from '@astrolabe/base/cli';
import { batchPaddings, type EngineOverrides } from '@astrolabe/config';
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
