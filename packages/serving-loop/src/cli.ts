/** `serving-loop`: the main job. Flags in, results out; the loop itself is in `serving-run.ts`. */
import { runMain, Verdict, writeFileWhole, writeStdout } from '@astrolabe/base/cli';
import { servingCommand, servingOptions } from './cli/options.js';
import { checkRequestsOutput, encodeRequests, ResultFolder } from './cli/result-folder.js';
import { type Served, serve } from './cli/serve.js';
import { shippedProfiles } from './cli/shipped-profiles.js';
import { formatSummary } from './summary.js';

await runMain('serving-loop', async () => {
  const command = servingCommand();
  command.parse();
  const options = servingOptions(command, shippedProfiles);
  checkRequestsOutput(options.requestsOutput);
  const folder = options.output === undefined ? undefined : new ResultFolder(options.output);
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
    folder?.discard(error, options);
    throw error;
  }
  folder?.commit(served, options);
  const { summary, results } = served;
  const text =
    options.summaryFormat === 'json'
      ? `${JSON.stringify(summary, null, 2)}\n`
      : formatSummary(summary);
  const toStdout = options.requestsOutput === '-';
  if (toStdout) await writeStdout(encodeRequests(results, '.ndjson'));
  else if (options.requestsOutput !== undefined) {
    writeFileWhole(options.requestsOutput, encodeRequests(results, options.requestsOutput));
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
