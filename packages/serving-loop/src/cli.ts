/** `serving-loop`: the main job. Flags in, results out; the loop itself is in `serving-run.ts`. */
import { runMain, Verdict, writeFileWhole, writeStdout } from '@astrolabe/base/cli';
import { guard } from './cli/carriers/guard.js';
import { StageError } from './cli/carriers/stage.js';
import { type ServingOptions, servingCommand, servingOptions } from './cli/options.js';
import { checkRequestsOutput, encodeRequests, ResultFolder } from './cli/result-folder.js';
import { type Served, serve } from './cli/serve.js';
import { shippedProfiles } from './cli/shipped-profiles.js';
import { formatSummary } from './summary.js';

/** A signal to a run that waits for stages leaves what their failure leaves. @returns ends that */
function guardResults(folder: ResultFolder, options: ServingOptions): () => void {
  if (options.stages === undefined || options.stages.carrier === 'in-process') return () => {};
  return guard((why) => folder.discard(new StageError(why), options));
}

await runMain('serving-loop', async () => {
  const command = servingCommand();
  command.parse();
  const options = servingOptions(command, shippedProfiles);
  checkRequestsOutput(options.requestsOutput);
  const folder = options.output === undefined ? undefined : new ResultFolder(options.output);
  const release = folder === undefined ? () => {} : guardResults(folder, options);
  let served: Served;
  try {
    served = await serve(
      options,
      folder === undefined
        ? {}
        : {
            onIteration: folder.onIteration,
            onTransfer: folder.onTransfer,
            onCompletion: folder.onCompletion,
          },
    );
  } catch (error) {
    release();
    folder?.discard(error, options);
    throw error;
  }
  release();
  folder?.commit(served, options);
  const { summary, results } = served;
  const text =
    options.summaryFormat === 'json'
      ? `${JSON.stringify(summary, null, 2)}\n`
      : formatSummary(summary);
  const toStdout = options.requestsOutput === '-';
  if (toStdout) await writeStdout(await encodeRequests(results, '.ndjson'));
  else if (options.requestsOutput !== undefined) {
    const rows = await encodeRequests(results, options.requestsOutput);
    writeFileWhole(options.requestsOutput, rows);
  }
  if (!options.quiet) {
    if (toStdout) process.stderr.write(text);
    else await writeStdout(text);
  }
  const { total, finished } = summary.requests;
  if (total > 0 && finished === 0 && summary.complete) {
    throw new Verdict(`none of ${total} requests was served`);
  }
  if (!summary.complete) {
    throw new Verdict(
      `${total - finished} of ${total} requests did not finish; results are marked incomplete`,
    );
  }
});
