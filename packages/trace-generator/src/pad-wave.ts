/**
 * Padding of a data-parallel wave (vLLM's `coordinate_batch_across_dp`): when every rank's batch fits a
 * captured graph (or a compiled bucket) all pad to the largest rank's size, else every rank runs its
 * own tokens unpadded.
 */
import { UserError } from '@astrolabe/base';
import type { Batch } from './batch.js';
import { padTokens } from './capture-sizes.js';

/**
 * Sets the batch's tokens and the wave's. @param own position of this rank in `waveTokens`
 * @throws UserError a list that does not have an entry per rank, or not this batch's
 */
export function padWave(
  waveTokens: readonly number[],
  own: number,
  ranks: number,
  batch: Batch,
  padding: Int32Array,
): void {
  if (waveTokens.length !== ranks) {
    throw new UserError(
      `waveTokens has ${waveTokens.length} entries for ${ranks} ranks that share experts`,
    );
  }
  if (waveTokens[own] !== batch.realTokens) {
    throw new UserError(
      `waveTokens says ${waveTokens[own]} tokens for this rank, its batch has ${batch.realTokens}`,
    );
  }
  const largest = Math.max(...waveTokens);
  if (largest < padding.length) {
    batch.tokens = padTokens(padding, largest);
    batch.groupTokens = batch.tokens * ranks;
    return;
  }
  batch.tokens = waveTokens[own];
  batch.groupTokens = waveTokens.reduce((sum, tokens) => sum + tokens, 0);
}
