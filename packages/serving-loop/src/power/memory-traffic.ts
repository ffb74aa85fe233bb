/**
 * Bytes one step moves to and from a device's own memory, per rank of one pipeline stage, for the
 * energy of that traffic: weights once (of experts, those expected to be hit), the KV of every
 * request read and the new tokens' KV written, activations in and out of every operator. Operand
 * sizes as in the operator table (layers.md of the design notes).
 */
import {
  dtypeBytes,
  type Instance,
  kvBytesPerTokenPerLayer,
  kvHeadsPerRank,
  pipelineLayers,
  weightBytes,
} from '@astrolabe/config';
import type { Iteration } from '@astrolabe/trace-generator';

export interface StepTraffic {
  /** Per stage, bytes of one of its ranks. */
  readonly stageBytes: readonly number[];
}

export type TrafficModel = (iteration: Pick<Iteration, 'newTokens' | 'contextTokens'>) => number[];

/** @returns a function from a step to bytes per rank, one entry a pipeline stage */
export function deviceTraffic(instance: Instance): TrafficModel {
  const { model, engine, tp, pp, ep } = instance;
  const layers = pipelineLayers(model.numLayers, pp);
  const bytes = dtypeBytes[engine.dtype];
  const weights = layers.map((_, stage) => weightBytes(model, { tp, pp, ep }, stage, engine.dtype));
  const kvPerToken = kvBytesPerTokenPerLayer(model, tp, engine.kvCacheDtype);
  const perToken = activationElements(instance) * bytes;
  const expertBytes = expertElements(instance) * bytes;
  return (iteration) => {
    let tokens = 0;
    let context = 0;
    for (let i = 0; i < iteration.newTokens.length; i++) {
      tokens += iteration.newTokens[i];
      // With attention offloaded, the KV of decodes is read where it lies.
      const decode = iteration.newTokens[i] === 1 && iteration.contextTokens[i] > 0;
      if (engine.attentionOffload && decode) continue;
      context += iteration.contextTokens[i] + iteration.newTokens[i];
    }
    const unusedExperts = model.moe === undefined ? 0 : expertBytes * unhitShare(instance, tokens);
    return layers.map(
      (count, stage) =>
        weights[stage] -
        count * unusedExperts +
        count * ((context + tokens) * kvPerToken + tokens * perToken),
    );
  };
}

/** Elements read and written per token and layer beside weights and KV. */
function activationElements(instance: Instance): number {
  const { model, tp } = instance;
  const h = model.hiddenSize;
  const q = (model.numHeads * model.headDim) / tp;
  const kv = kvHeadsPerRank(model, tp) * model.headDim;
  const moe = model.moe;
  const wide =
    moe === undefined ? model.intermediateSize / tp : moe.expertsPerToken * moe.intermediateSize;
  // Two norms, two projections in and out, rotary, attention, gate-up, activation, down.
  return (
    4 * h +
    (h + q + 2 * kv) +
    2 * (q + kv) +
    2 * q +
    (q + h) +
    (h + 2 * wide) +
    3 * wide +
    (wide + h)
  );
}

/** Expert weights of one layer on one rank. */
function expertElements(instance: Instance): number {
  const { moe, hiddenSize } = instance.model;
  if (moe === undefined) return 0;
  const divisor = instance.ep > 1 ? instance.ep : instance.tp;
  return (moe.numExperts * 3 * hiddenSize * moe.intermediateSize) / divisor;
}

/** Share of experts no token chose, for tokens that choose k of E evenly: (1 - k/E)^T. */
function unhitShare(instance: Instance, tokens: number): number {
  const moe = instance.model.moe;
  if (moe === undefined) return 0;
  return (1 - moe.expertsPerToken / moe.numExperts) ** tokens;
}
