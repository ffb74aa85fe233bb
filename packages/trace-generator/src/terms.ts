/**
 * The physical terms that this generator models beyond the operator sum. Each can be switched
 * to measure its effect, and is on by default; `decodeTail` is where the calibration document does not
 * say otherwise. What a term costs is a fact of the engine, not fitted, except `stepOverhead`, whose
 * value comes from that document.
 */
import { parseWith } from '@astrolabe/base';
import { z } from 'zod';

const on = z.boolean().default(true);

export const termSwitchesSchema = z
  .strictObject({
    stepOverhead: on.describe('serial device time of every step, from the calibration document'),
    warmUp: on.describe('host warm-up that an iteration carries (`warmUpNs`)'),
    batchPadding: on.describe(
      'batches run padded to the next captured size or compiled bucket (`batch_padding`)',
    ),
    decodeTail: z
      .boolean()
      .optional()
      .describe(
        'decodes wait for the longest contexts once too few are left to saturate memory, as ' +
          'measured in the profile; unless switched as the calibration document says of the ' +
          'device, on where it says nothing',
      ),
    fusedElementwise: on.describe(
      "norms, rotation and activation timed as plain modules take a fused kernel's time at most",
    ),
    unpackedQueryHeads: on.describe(
      'decodes beside a chunk, or with a sliding window, read the KV cache once per query head ' +
        'where attention was timed apart and the kernel packs only pure decodes',
    ),
    kvDtype: on.describe(
      "decodes read a KV cache of another type than the model's as one of as many bytes",
    ),
    weightFloor: on.describe('no operator timed alone is faster than memory delivers its weights'),
    sharedExpertStream: on.describe(
      'shared experts of up to 256 tokens run beside the exchange of the routed ones',
    ),
    embeddingAllReduce: on.describe('all-reduce after the vocabulary-parallel embedding, TP > 1'),
    logitsGather: on.describe('all-gather of the logits before sampling, TP > 1'),
    pipelineResidual: on.describe(
      'stages hand over hidden state and residual, sliced over TP and gathered by the receiver',
    ),
  })
  .describe('Terms: what is modelled beyond the sum of operators');

export type Terms = z.infer<typeof termSwitchesSchema>;
/** Terms to change; the others keep their default. */
export type TermSwitches = z.input<typeof termSwitchesSchema>;

export const termNames = Object.keys(termSwitchesSchema.shape) as (keyof Terms)[];

/** @throws UserError an unknown term */
export function parseTerms(switches: TermSwitches = {}): Terms {
  return parseWith(termSwitchesSchema, switches, 'terms');
}
