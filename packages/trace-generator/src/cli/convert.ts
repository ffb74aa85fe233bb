/**
 * The filter: lines of iterations in, graphs out in the same order, each line answered before the
 * next is read, so that a loop may wait for the answer. A line `{"advanceNs": n}` passes through as
 * an empty graph that runs the machine's clock to there.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { openInput, readNdjson, writeFileWhole, writeStdout } from '@astrolabe/base/cli';
import { advanceGraph, encodeGraph, encodeGraphs, expandGraphSet } from '@astrolabe/chakra';
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
      if (output === undefined) {
        await writeStdout(encodeGraph(advanceGraph(advanceNs), { dialect }));
      }
      continue;
    }
    const iteration = parseWith(iterationSchema, value, at);
    const graphs = expandGraphSet(generateAt(generator, iteration, at));
    if (output === undefined) await writeStdout(encodeGraphs(graphs, { dialect }));
    else writeFiles(output, iteration, graphs, options);
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

function writeFiles(
  prefix: string,
  iteration: Iteration,
  graphs: ReturnType<typeof expandGraphSet>,
  { dialect }: GeneratorOptions,
): void {
  for (const graph of graphs) {
    const npu = graph.metadata.attributes.find(({ name }) => name === 'npu')?.value;
    const path = `${prefix}.${iteration.instance}.${iteration.iteration}.${npu}.et`;
    writeFileWhole(path, encodeGraph(graph, { dialect }));
  }
}
