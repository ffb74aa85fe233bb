/**
 * A run measured by `vllm bench serve --save-result --save-detailed`: one JSON object with a list per
 * quantity, in seconds of the client's own clock. A client sees neither queue nor scheduler. Ids are
 * those of the workload that `workload convert` makes of the same file: 0, 1, ... in order of start
 * over requests that have tokens.
 */
import { nsPerS, parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';
import type { RequestRow, RunData } from '../../run-data.js';

const seconds = z.number().nonnegative().max(1e11);
const counts = z.array(z.number().int().nonnegative());

const vllmBenchSchema = z.looseObject({
  input_lens: counts,
  output_lens: counts,
  ttfts: z.array(seconds),
  itls: z.array(z.array(seconds)),
  start_times: z.array(seconds),
  latencies: z.array(seconds).optional(),
  errors: z.array(z.string().nullable()).optional(),
});

/** Without `--save-detailed` there are no lists, only means. */
function askedBenchLists(value: unknown, path: string): z.infer<typeof vllmBenchSchema> {
  try {
    return parseWith(vllmBenchSchema, value, path);
  } catch (error) {
    if (!(error instanceof UserError) || !/: missing\b/.test(error.message)) throw error;
    const hint = 'expected the JSON of `vllm bench serve --save-result --save-detailed`';
    throw new UserError(error.message, { hint });
  }
}

/** @throws UserError naming the list that is missing or of another length */
export function readVllmBench(value: unknown, path: string): RunData {
  const lists = askedBenchLists(value, path);
  const { input_lens: prompts, output_lens: outputs, start_times: starts, errors } = lists;
  for (const name of [
    'output_lens',
    'ttfts',
    'itls',
    'start_times',
    'latencies',
    'errors',
  ] as const) {
    const length = lists[name]?.length ?? prompts.length;
    if (length === prompts.length) continue;
    throw new UserError(`${name}: expected ${prompts.length} as in input_lens, got ${length}`, {
      at: path,
    });
  }
  const sent = prompts
    .map((_, i) => i)
    .filter((i) => prompts[i] > 0 && outputs[i] > 0)
    .sort((a, b) => starts[a] - starts[b]);
  if (sent.length === 0) throw new UserError('no requests with tokens', { at: path });
  const zeroS = starts.reduce((least, start) => Math.min(least, start), Infinity);
  const rows = sent.flatMap((i, id): RequestRow[] => {
    // A failed request may have got some tokens before.
    if (errors?.[i]) return [];
    const arrivalNs = Math.round((starts[i] - zeroS) * nsPerS);
    const latencyS =
      lists.latencies?.[i] ?? lists.itls[i].reduce((sum, gap) => sum + gap, lists.ttfts[i]);
    return [
      {
        id: String(id),
        promptTokens: prompts[i],
        outputTokens: outputs[i],
        arrivalNs,
        scheduledNs: undefined,
        firstTokenNs: arrivalNs + Math.round(lists.ttfts[i] * nsPerS),
        lastTokenNs: arrivalNs + Math.round(latencyS * nsPerS),
      },
    ];
  });
  return {
    source: path,
    rows,
    totalRequests: prompts.length,
    notes: ["times are the client's: it does not say when requests were scheduled"],
  };
}
