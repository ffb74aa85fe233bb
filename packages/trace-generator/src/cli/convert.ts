/**
 * The filter: lines of iterations and transfers in, graphs out in the same order, each line answered
 * before the next is read, so that a loop may wait for the answer. A line `{"advanceNs": n}` passes
 * through as an empty graph that runs the machine's clock to there, and says who wrote the stream.
 * With `--output` graphs go to files, and the lines on stdout name them.
 */
import { askedBy, parseWith } from '@astrolabe/base';
import { openInput, ourName, readNdjson, writeFileWhole, writeStdout } from '@astrolabe/base/cli';
import {
  advanceGraph,
  describeGraphFiles,
  encodeGraph,
  encodeGraphs,
  expandGraphSet,
  type GraphFiles,
  type GraphSet,
  graphFileName,
} from '@astrolabe/chakra';
import { loadCalibration, loadCluster } from '@astrolabe/config/cli';
import { countLookups, type LatencyModel } from '@astrolabe/profile';
import { latencyModelOf, openProfiles } from '@astrolabe/profiler-ingest/cli';
import { z } from 'zod';
import { createTraceGenerator, type TraceGenerator } from '../generate.js';
import { iterationSchema } from '../iteration.js';
import { transferSchema } from '../kv-transfer.js';
import { loadExpertRouters } from './load-expert-routers.js';
import type { GeneratorOptions } from './options.js';

const advanceSchema = z.strictObject({ advanceNs: z.number().int().nonnegative() });

export async function convert(options: GeneratorOptions): Promise<void> {
  const models = new Set<LatencyModel>();
  const generator = await openGenerator(options, models);
  const { input, output, dialect } = options;
  const name = input === '-' ? 'stdin' : input;
  for await (const { value, line } of readNdjson(openInput(input), name)) {
    const at = `${name}:${line}`;
    if (isAdvance(value)) {
      const { advanceNs } = parseWith(advanceSchema, value, at);
      const request = { advanceNs, writtenBy: ourName };
      await writeStdout(
        output === undefined
          ? encodeGraph(advanceGraph(request), { dialect })
          : `${JSON.stringify(request)}\n`,
      );
      continue;
    }
    const set = generateAt(generator, value, at);
    await writeStdout(
      output === undefined
        ? encodeGraphs(expandGraphSet(set), { dialect })
        : `${JSON.stringify(writeFiles(output, set, options))}\n`,
    );
  }
  if (options.lookups !== undefined) {
    writeFileWhole(options.lookups, `${JSON.stringify(countLookups(models))}\n`);
  }
}

async function openGenerator(
  options: GeneratorOptions,
  models: Set<LatencyModel>,
): Promise<TraceGenerator> {
  const cluster = loadCluster(options.clusterConfig, { flags: options.flags });
  const profiles = await openProfiles(options.profiles);
  return createTraceGenerator({
    cluster,
    calibration: loadCalibration(options.calibration),
    terms: options.terms,
    expertRouterFor: await loadExpertRouters(cluster),
    latencyModelFor: (instance) => {
      const latency = latencyModelOf(profiles, instance);
      models.add(latency);
      return latency;
    },
  });
}

function isAdvance(value: unknown): boolean {
  return hasKey(value, 'advanceNs');
}

function hasKey(value: unknown, key: string): boolean {
  return typeof value === 'object' && value !== null && key in value;
}

/** A generator knows no files: what it refuses gets its line here. */
function generateAt(generator: TraceGenerator, value: unknown, at: string): GraphSet {
  if (hasKey(value, 'transfer')) {
    const transfer = parseWith(transferSchema, value, at);
    return askedBy(at, () => generator.generateTransfer(transfer));
  }
  const iteration = parseWith(iterationSchema, value, at);
  return askedBy(at, () => generator.generate(iteration));
}

/** Files of one graph set. @returns the control line that names them */
function writeFiles(output: string, set: GraphSet, { dialect }: GeneratorOptions): GraphFiles {
  const lane = set.lane === 0 ? '' : `.lane${set.lane}`;
  const line = describeGraphFiles(set, `${output}${lane}.${set.instance}.${set.iteration}`);
  expandGraphSet(set).forEach((graph, index) => {
    const path = graphFileName(line.prefix, line.npus[index]);
    writeFileWhole(path, encodeGraph(graph, { dialect }));
  });
  return line;
}
