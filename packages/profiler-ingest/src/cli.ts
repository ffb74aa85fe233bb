/** profiler-ingest: measurements of any profiler to profiles, and what can be derived from them. */
import {
  makeCommand,
  runMain,
  StdoutBuffer,
  writeFileWhole,
  writeStdout,
} from '@astrolabe/base/cli';
import { encodeProfile } from '@astrolabe/profile/arrow';
import type { Command } from 'commander';
import { type GivenNames, loadTable } from './cli/load-table.js';
import { defaultFit, fitProfile } from './fit/fit-profile.js';
import { inspectTable } from './inspect.js';
import { printJson } from './print-json.js';

const examples = [
  'profiler-ingest import bundles/RTX4090/meta-llama/Llama-3.1-8B/bf16 -o llama.arrow',
  'profiler-ingest inspect llama.arrow',
  'profiler-ingest fit llama.arrow -o profiles/RTX4090/meta-llama/Llama-3.1-8B/bf16.json',
];

function withNames(command: Command): Command {
  return command
    .option('--hardware <name>', 'hardware name; by default from the path')
    .option('--model <name>', 'model name, <org>/<model>; by default from the path')
    .option('--dtype <name>', 'bf16, fp16, fp8, ...; by default from the path');
}

function build(): Command {
  const program = makeCommand(
    'profiler-ingest',
    'Turns measurements into profiles that the trace generator can look operators up in.',
    examples,
  );
  withNames(
    program
      .command('import')
      .description('read measurements, write one Arrow profile')
      .argument('<input>', 'bundle directory or file')
      .option('-o, --output <file>', 'Arrow file; - is stdout', '-'),
  ).action(async (input: string, options: GivenNames & { output: string }) => {
    await writeOutput(options.output, encodeProfile(loadTable(input, options)));
  });
  withNames(
    program
      .command('inspect')
      .description('what a profile holds: provenance, grids, missing operators, outliers')
      .argument('<input>', 'Arrow profile or bundle directory'),
  ).action(async (input: string, options: GivenNames) => {
    const out = new StdoutBuffer();
    for (const line of inspectTable(loadTable(input, options))) await out.line(line);
    await out.flush();
  });
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
  return program;
}

async function writeOutput(path: string, data: string | Uint8Array): Promise<void> {
  if (path === '-') await writeStdout(data);
  else writeFileWhole(path, data);
}

await runMain('profiler-ingest', async () => {
  await build().parseAsync();
});
