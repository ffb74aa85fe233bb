/**
 * The filter: lines of iterations in, graphs out in the same order, each line answered before the
 * next is read, so that a loop may wait for the answer. A line `{"advanceNs": n}` passes through as
 * an empty graph that runs the machine's clock to there. With `--output` graphs go to files, and the
 * lines on stdout name them.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { openInput, readNdjson, writeFileWhole, writeStdout } from '@astrolabe/base/cli';
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
import { openProfiles } from '@astrolabe/profiler-ingest/cli';
import { z } from 'zod';
import { createTraceGenerator, type TraceGenerator } from '../generate.js';
import { type Iteration, iterationSchema } from '../iteration.js';
import type { GeneratorOptions } from './options.js';

const advanceSchema = z.strictObject({ advanceNs: z.number().int().nonnegative() });

export async function convert(options: GeneratorOptions): Promise<void> {
  const generator = await openGenerator(options);
  const { input, output, dialect } = options;
  const name = input === '-' ? 'stdin' : input;
  for await (const { value, line } of readNdjson(openInput(input), name)) {
    const at = `${name}:${line}`;
    if (isAdvance(value)) {
      const { advanceNs } = parseWith(advanceSchema, value, at);
      await writeStdout(
        output === undefined
          ? encodeGraph(advanceGraph(advanceNs), { dialect })
          : `${JSON.stringify({ advanceNs })}\n`,
      );
      continue;
    }
    const iteration = parseWith(iterationSchema, value, at);
    const set = generateAt(generator, iteration, at);
    await writeStdout(
      output === undefined
        ? encodeGraphs(expandGraphSet(set), { dialect })
        : `${JSON.stringify(writeFiles(output, set, options))}\n`,
    );
  }
}

async function openGenerator(options: GeneratorOptions): Promise<TraceGenerator> {
  const cluster = loadCluster(options.clusterConfig, { flags: options.flags });
  const profiles = await openProfiles(options.profiles);
  return createTraceGenerator({
    cluster,
    calibration: loadCalibration(options.calibration),
    terms: options.terms,
    latencyModelFor: ({ hardware, model, engine }) =>
      profiles.latencyModel(hardware, model.name, engine.dtype),
  });
}

function isAdvance(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'advanceNs' in value;
}

/** A generator knows no files: what it refuses gets its line here. */
function generateAt(generator: TraceGenerator, iteration: Iteration, at: string) {
  try {
    return generator.generate(iteration);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.message, {
      at,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
}

/** Files of one iteration. @returns the control line that names them */
function writeFiles(output: string, set: GraphSet, { dialect }: GeneratorOptions): GraphFiles {
  const line = describeGraphFiles(set, `${output}.${set.instance}.${set.iteration}`);
  expandGraphSet(set).forEach((graph, index) => {
    const path = graphFileName(line.prefix, line.npus[index]);
    writeFileWhole(path, encodeGraph(graph, { dialect }));
  });
  return line;
}
