/** The command's flags, parsed; engine options keep vLLM's names. */
import {
  booleanFlag,
  fraction,
  makeCommand,
  nonNegativeInteger,
  positiveInteger,
  positiveNumber,
  severalFiles,
} from '@astrolabe/base/cli';
import {
  type Calibration,
  dtypes,
  type EngineOverrides,
  type KvTierFile,
  kvCacheDtypes,
} from '@astrolabe/config';
import type { TermSwitches } from '@astrolabe/trace-generator';
import { addTermOptions, termOptions } from '@astrolabe/trace-generator/cli';
import type { Request } from '@astrolabe/workload';
import { type Command, Option } from 'commander';
import { addCarrierOptions, type CarrierOptions, carrierOptions } from './carrier-options.js';
import {
  addEngineOptions,
  type EngineFlags,
  engineFlags,
  engineOverrides,
} from './engine-options.js';
import { addKvTierOptions, kvTierOptions } from './kv-tier-options.js';
import { addRoutingOptions, type RoutingOptions, routingOptions } from './routing-options.js';

export interface ServingOptions extends RoutingOptions {
  readonly clusterConfig: string;
  readonly workload: string;
  /** Instead of what `workload` names. */
  readonly requests?: readonly Request[] | undefined;
  readonly profiles: string;
  readonly output?: string | undefined;
  readonly requestsOutput?: string | undefined;
  readonly flags: EngineOverrides;
  /** Absent: host work as calibrated, clients that wait for ever. */
  readonly engine?: EngineFlags | undefined;
  /** KV tiers below the device, instead of the cluster file's. */
  readonly kvTiers?: readonly KvTierFile[] | undefined;
  readonly memoryUtilization?: number | undefined;
  readonly deviceMemoryBytes?: number | undefined;
  readonly seed: number;
  readonly intervalS: number;
  /** A file, `none`, or undefined for the shipped one; of a run without other processes also itself. */
  readonly calibration?: string | Calibration | undefined;
  /** Terms of the trace generator to switch; the others keep their default. */
  readonly terms?: TermSwitches | undefined;
  readonly summaryFormat: 'text' | 'json';
  readonly quiet: boolean;
  /** How stages are joined; undefined: all in this process. */
  readonly stages?: CarrierOptions | undefined;
}

export function servingCommand(): Command {
  const command = makeCommand(
    'serving-loop',
    'Simulates an LLM-serving cluster under a workload and reports per-request metrics',
    [
      'serving-loop --cluster-config cluster_config/rtxpro6000.json \\',
      '    --workload cluster_config/workloads/sharegpt-like-300.ndjson --output out/run',
      'workload generate --requests 100 --rate 4 | serving-loop \\',
      '    --cluster-config cluster_config/rtxpro6000.json --workload - \\',
      '    --requests-output - | jq .ttftNs',
    ],
  )
    .optionsGroup('Inputs:')
    .requiredOption('--cluster-config <file>', "cluster file, ours or LLMServingSim's; required")
    .requiredOption(
      '--workload <file>',
      'requests: any format that `workload convert` reads; - is stdin; required',
    );
  addInputOptions(command)
    .optionsGroup('Results:')
    .option(
      '-o, --output <dir>',
      'writes requests.csv, iterations.ndjson, summary.json, run.json, ...',
      severalFiles,
    )
    .option('--requests-output <file>', 'per-request results; .csv, .ndjson or .arrow; - is stdout')
    .option('--interval <s>', "length of the interval series' intervals", positiveNumber, 1)
    .addOption(
      new Option('--summary-format <format>', 'form of the summary')
        .choices(['text', 'json'])
        .default('text'),
    )
    .option('-q, --quiet', 'no progress, no summary');
  addBehaviourOptions(command);
  return addCarrierOptions(command.optionsGroup('Stages and exports (docs/pipelines.md):'));
}

/** Where times come from, and the seed. */
export function addInputOptions(command: Command): Command {
  return command
    .option('--profiles <dir>', 'profiles: ours or raw LLMServingSim bundles (default: shipped)')
    .option(
      '--calibration <file>',
      'fitted step constants; none = nothing fitted (default: shipped)',
    )
    .option('--seed <n>', 'seed of everything random', nonNegativeInteger, 0);
}

/** How the service behaves, in groups. */
export function addBehaviourOptions(command: Command): Command {
  command
    .optionsGroup("Scheduling and KV cache (default: the instance's key; docs/cluster-file.md):")
    .option('--max-num-seqs <n>', 'most requests in one batch; 0 = no limit', nonNegativeInteger)
    .option(
      '--max-num-batched-tokens <n>',
      'token budget of one step; 0 = the context length',
      nonNegativeInteger,
    )
    .option('--max-model-len <n>', 'longest sequence accepted, tokens', positiveInteger)
    .option('--long-prefill-token-threshold <n>', 'cap on one chunk; 0 = none', nonNegativeInteger)
    .addOption(new Option('--dtype <type>', 'weights and activations').choices(dtypes))
    .addOption(
      new Option('--kv-cache-dtype <type>', 'KV cache; auto = dtype').choices(kvCacheDtypes),
    )
    .option('--block-size <n>', 'tokens per KV block', positiveInteger)
    .option('--kv-blocks <n>', 'KV blocks per instance (default: predicted)', positiveInteger)
    .option('--memory-utilization <f>', 'share of device memory the engine may use', fraction)
    .option('--device-memory-bytes <n>', 'bytes the device really reports', positiveInteger)
    .option('--enable-prefix-caching <bool>', 'reuse KV of equal prefixes', booleanFlag)
    .option('--enable-chunked-prefill <bool>', 'split prompts over steps', booleanFlag)
    .option('--reserve-full-isl <bool>', 'admit only if the prompt fits in free KV', booleanFlag)
    .option('--async-scheduling <bool>', 'compose a batch while one runs', booleanFlag);
  addRoutingOptions(command.optionsGroup('Routing among instances:'));
  addKvTierOptions(command.optionsGroup('KV below the device:'));
  addEngineOptions(command.optionsGroup('Engine behaviour (docs/engine.md):'));
  return addTermOptions(command.optionsGroup('Terms of the model (docs/trace-generator.md):'));
}

type Raw = Record<string, never>;

/** From commander's record to ours. */
export function servingOptions(command: Command, shippedProfiles: string): ServingOptions {
  const raw = command.opts<Raw>();
  const flags: EngineOverrides = {
    max_num_seqs: raw.maxNumSeqs,
    max_num_batched_tokens: raw.maxNumBatchedTokens,
    max_model_len: raw.maxModelLen,
    long_prefill_token_threshold: raw.longPrefillTokenThreshold,
    dtype: raw.dtype,
    kv_cache_dtype: raw.kvCacheDtype,
    block_size: raw.blockSize,
    kv_blocks: raw.kvBlocks,
    enable_prefix_caching: raw.enablePrefixCaching,
    enable_chunked_prefill: raw.enableChunkedPrefill,
    reserve_full_isl: raw.reserveFullIsl,
    async_scheduling: raw.asyncScheduling,
    ...engineOverrides(raw),
  };
  return {
    clusterConfig: raw.clusterConfig,
    workload: raw.workload,
    profiles: raw.profiles ?? shippedProfiles,
    output: raw.output,
    requestsOutput: raw.requestsOutput,
    flags,
    ...kvTierOptions(raw),
    engine: engineFlags(raw),
    memoryUtilization: raw.memoryUtilization,
    deviceMemoryBytes: raw.deviceMemoryBytes,
    ...routingOptions(raw),
    seed: raw.seed,
    intervalS: raw.interval,
    calibration: raw.calibration,
    terms: termOptions(raw),
    summaryFormat: raw.summaryFormat,
    quiet: raw.quiet ?? false,
    stages: carrierOptions(raw),
  };
}
