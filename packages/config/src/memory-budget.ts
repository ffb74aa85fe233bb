/**
 * How many KV blocks vLLM 0.19 would find room for. Formula and constants: vLLM's memory profiling,
 * read in its source and checked on one measured run (RTX 4090, Llama-3.1-8B: 2588 blocks).
 *
 *   available = utilization * deviceBytes - weights - rotary table - activation peak - non-torch
 *   blocks    = floor(available / bytes of one block on all layers of the rank), least over the ranks;
 *               with several groups of layers (`kvGroups`) a block is of the layers of one
 *
 * The activation peak is the larger of the widest forward pass and the sampler's dummy run, whose
 * full-vocabulary logits cost 36 bytes per entry (bf16 and fp32 logits, sort output and scratch);
 * that constant was fitted on the run above. Context and NCCL buffers are outside the budget, as
 * they are taken before vLLM's first snapshot; v0.19 charges nothing for CUDA graphs.
 */
import { bytesPerGiB, bytesPerMiB, UserError } from '@astrolabe/base';
import { dtypeBytes } from './engine.js';
import { kvBytesPerTokenPerLayer, pipelineLayers, rotaryCacheBytes } from './model-size.js';
import { residentWeightBytes } from './resident-weights.js';
import { type Instance, memoryOfStage } from './resolved-cluster.js';

const samplerBytesPerLogit = 36;
export const nonTorchBytes = 2 * bytesPerMiB;

export interface MemoryBudget {
  /** Pipeline stage of that rank. */
  readonly stage: number;
  readonly requestedBytes: number;
  readonly weightBytes: number;
  readonly activationBytes: number;
  readonly nonTorchBytes: number;
  readonly kvBytes: number;
  /** Bytes of one block on the rank that has least room. */
  readonly blockBytes: number;
  /** Including the null block, as vLLM counts. */
  readonly numBlocks: number;
}

/** More would not fit in this process's memory: the pool keeps some 30 bytes a block. */
export const mostBlocks = 1e8;

/** @throws UserError when the weights, or not even one block, do not fit, or too many blocks do */
export function memoryBudget(instance: Instance): MemoryBudget {
  const budget = leastBudget(instance);
  const { numBlocks } = budget;
  if (numBlocks < 2 || numBlocks > mostBlocks) {
    throw new UserError(
      `${numBlocks} KV blocks, expected 2 (one is vLLM's null block) to ${mostBlocks}`,
      { at: instance.place },
    );
  }
  return budget;
}

function leastBudget(instance: Instance): MemoryBudget {
  let least: MemoryBudget | undefined;
  for (let stage = 0; stage < instance.pp; stage++) {
    const budget = stageBudget(instance, stage);
    if (least === undefined || budget.numBlocks < least.numBlocks) least = budget;
  }
  const budget = least as MemoryBudget;
  if (instance.engine.kvBlocks !== undefined) {
    checkWeights(instance);
    return { ...budget, numBlocks: instance.engine.kvBlocks };
  }
  if (budget.numBlocks < 2) throw tooLarge(instance, budget);
  return budget;
}

/** With a given number of blocks, of which nothing is known, weights must fit all the same. */
function checkWeights(instance: Instance): void {
  for (let stage = 0; stage < instance.pp; stage++) {
    const budget = stageBudget(instance, stage);
    const { sizeBytes } = memoryOfStage(instance, stage);
    if (budget.weightBytes > sizeBytes) throw tooLarge(instance, budget);
  }
}

function stageBudget(instance: Instance, stage: number): MemoryBudget {
  const { model, engine, tp, pp } = instance;
  const memory = memoryOfStage(instance, stage);
  const weights = residentWeightBytes(instance, stage) + rotaryCacheBytes(model, engine.dtype);
  const activations = activationPeakBytes(instance, stage);
  const requested = Math.floor(memory.utilization * memory.sizeBytes);
  const kvBytes = requested - weights - activations - nonTorchBytes;
  const layers = instance.kvGroups?.layers ?? pipelineLayers(model.numLayers, pp)[stage];
  const blockBytes =
    layers * engine.blockSize * kvBytesPerTokenPerLayer(model, tp, engine.kvCacheDtype);
  return {
    stage,
    requestedBytes: requested,
    weightBytes: weights,
    activationBytes: activations,
    nonTorchBytes,
    kvBytes,
    blockBytes,
    numBlocks: Math.max(0, Math.floor(kvBytes / blockBytes)),
  };
}

function activationPeakBytes(instance: Instance, stage: number): number {
  const { model, engine, tp } = instance;
  const tokens = engine.maxNumBatchedTokens;
  const bytes = dtypeBytes[engine.dtype];
  const hidden = 2 * tokens * model.hiddenSize * bytes;
  const dense = (3 * tokens * model.intermediateSize * bytes) / tp;
  const moe = model.moe;
  const experts =
    moe === undefined
      ? dense
      : tokens *
        moe.expertsPerToken *
        (Math.max(2 * moe.intermediateSize, model.hiddenSize) + moe.intermediateSize) *
        bytes;
  const forward = experts + hidden;
  if (stage !== instance.pp - 1) return forward;
  const rows = Math.min(engine.maxNumSeqs, tokens);
  const sampler =
    samplerBytesPerLogit * rows * model.vocabSize +
    bytes * tokens * model.hiddenSize +
    bytes * rows * model.hiddenSize;
  return Math.max(forward, sampler);
}

function tooLarge(instance: Instance, budget: MemoryBudget): UserError {
  const gib = (bytes: number): string => `${(bytes / bytesPerGiB).toFixed(2)} GiB`;
  const hardware = instance.stageHardware?.[budget.stage] ?? instance.hardware;
  const { utilization } = memoryOfStage(instance, budget.stage);
  return new UserError(
    `${instance.model.name} does not fit on ${hardware}: weights ` +
      `${gib(budget.weightBytes)} and activations ${gib(budget.activationBytes)} per device leave ` +
      `no KV block in ${gib(budget.requestedBytes)} (utilization ${utilization})`,
    {
      at: instance.place,
      hint: 'raise tp_size or --memory-utilization, or lower --max-num-seqs',
    },
  );
}
