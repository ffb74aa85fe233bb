/** The command's flags, parsed. Engine options matter here only where they change a graph. */
import { booleanFlag, makeCommand, nonNegativeInteger, severalFiles } from '@astrolabe/base/cli';
import { type Dialect, dialects } from '@astrolabe/chakra';
import { batchPaddings, dtypes, type EngineOverrides, kvCacheDtypes } from '@astrolabe/config';
import { type Command, Option } from 'commander';
import type { TermSwitches } from '../terms.js';
import { addTermOptions, termOptions } from './term-options.js';

export interface GeneratorOptions {
  /** Iterations; `-` is stdin. */
  readonly input: string;
  readonly clusterConfig: string;
  readonly profiles: string;
  readonly calibration: string | undefined;
  readonly flags: EngineOverrides;
  readonly terms: TermSwitches;
  readonly dialect: Dialect;
  /** Prefix of .et files; undefined: a stream on stdout. */
  readonly output: string | undefined;
  /** File for how latency lookups were answered, written at the end of input. */
  readonly lookups: string | undefined;
}

export function generatorCommand(): Command {
  const command = makeCommand(
    'trace-generator',
    'Turns iterations (NDJSON, one batch a line) into Chakra execution graphs, one per NPU',
    [
      'trace-generator --cluster-config cluster_config/rtxpro6000.json iterations.ndjson \\',
      '    | system-simulator --cluster-config cluster_config/rtxpro6000.json',
      'head -1 iterations.ndjson | trace-generator --cluster-config cluster.json --output out/step',
      'trace-generator --cluster-config cluster.json --without batchPadding < iterations.ndjson',
    ],
  )
    .argument('[iterations]', 'NDJSON file; - is stdin', '-')
    .requiredOption('--cluster-config <file>', "cluster file, ours or LLMServingSim's; required")
    .option('--profiles <dir>', 'profiles: ours or raw LLMServingSim bundles (default: shipped)')
    .option(
      '--calibration <file>',
      'fitted step constants; none = nothing fitted (default: shipped)',
    )
    .option('--max-num-seqs <n>', 'as for serving-loop: sets captured sizes', nonNegativeInteger)
    .option('--max-num-batched-tokens <n>', 'as for serving-loop', nonNegativeInteger)
    .addOption(new Option('--dtype <type>', 'as for serving-loop').choices(dtypes))
    .addOption(new Option('--kv-cache-dtype <type>', 'as for serving-loop').choices(kvCacheDtypes))
    .addOption(new Option('--batch-padding <how>', 'as for serving-loop').choices(batchPaddings))
    .option('--bucket-padding-gap <n>', 'as for serving-loop', nonNegativeInteger)
    .option('--enable-attn-offloading [bool]', 'as for serving-loop', booleanFlag)
    .option('--enable-sub-batch-interleaving [bool]', 'as for serving-loop', booleanFlag)
    .addOption(
      new Option('--dialect <name>', 'of the graphs').choices([...dialects]).default('upstream'),
    )
    .option(
      '-o, --output <prefix>',
      'writes <prefix>.<instance>.<iteration>.<npu>.et files; stdout gets a line naming each set',
      severalFiles,
    )
    .option(
      '--lookups <file>',
      'writes how many latency lookups there were and lay outside the tables',
    );
  return addTermOptions(command);
}

type Raw = Record<string, never>;

/** From commander's record to ours. */
export function generatorOptions(command: Command, shippedProfiles: string): GeneratorOptions {
  const raw = command.opts<Raw>();
  return {
    input: command.processedArgs[0] as string,
    clusterConfig: raw.clusterConfig,
    profiles: raw.profiles ?? shippedProfiles,
    calibration: raw.calibration,
    flags: {
      max_num_seqs: raw.maxNumSeqs,
      max_num_batched_tokens: raw.maxNumBatchedTokens,
      dtype: raw.dtype,
      kv_cache_dtype: raw.kvCacheDtype,
      batch_padding: raw.batchPadding,
      bucket_padding_gap: raw.bucketPaddingGap,
      enable_attn_offloading: raw.enableAttnOffloading,
      enable_sub_batch_interleaving: raw.enableSubBatchInterleaving,
    },
    terms: termOptions(raw),
    dialect: raw.dialect,
    output: raw.output,
    lookups: raw.lookups,
  };
}
