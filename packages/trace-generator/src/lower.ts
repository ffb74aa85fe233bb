/**
 * Operators to Chakra nodes: one program per pipeline stage (and per rank where ranks differ), a
 * chain of compute nodes with the collectives of tensor parallelism between them (an all-reduce behind
 * each row-parallel operator: Megatron-LM, arXiv 1909.08053, section 3; vocabulary-parallel embedding
 * and head as in vLLM) and the hand-over between stages.
 */
import { CollectiveType, type StringTable, TensorLocation } from '@astrolabe/chakra';
import {
  attendsLocally,
  dtypeBytes,
  type ExpertOptions,
  firstLayerOf,
  type Instance,
  isMoeLayer,
  pipelineLayers,
  type WeightPlacement,
} from '@astrolabe/config';
import { Chain, type Template } from './chain.js';
import type { Group, StageGroups } from './groups.js';
import { type KvLink, kvHeadBytes } from './kv-links.js';
import { type ExpertSite, lowerExperts } from './moe/lower-experts.js';
import { moveExperts } from './moe/move-experts.js';
import type { ExpertBlock, Quantities } from './quantities.js';
import { type Operator, profileName, type Sequence } from './sequences.js';
import type { Terms } from './terms.js';
import { fetchStart, fetchWeights } from './weights.js';

/** Tag of the hidden state on its way to the next stage. */
const pipelineTag = 1;

/** Serial time of a step outside its operators. */
export interface StepOverhead {
  readonly perStepNs: number;
  readonly perSequenceNs: number;
}

export const noOverhead: StepOverhead = { perStepNs: 0, perSequenceNs: 0 };

export interface Lowering {
  readonly instance: Instance;
  readonly sequence: Sequence;
  readonly quantities: Quantities;
  readonly terms: Terms;
  readonly stepOverhead: StepOverhead;
  readonly strings: StringTable;
  /** Undefined for a dense model. */
  readonly experts: ExpertBlock | undefined;
  readonly expertOptions: ExpertOptions;
  readonly placement: WeightPlacement;
  /** Node whose memory computes decode attention; undefined: the device does. */
  readonly pimNode?: number | undefined;
}

/** What distinguishes one program of an instance from another. */
export interface Position {
  readonly stage: number;
  readonly rank: number;
  readonly groups: StageGroups;
  readonly expertRank: number;
  /** The iteration carries a host warm-up. */
  readonly warmUp: boolean;
  /** Shared experts run on a stream of their own. */
  readonly sharedBeside: boolean;
  /** Experts change their ranks before the step computes. */
  readonly rearranges: boolean;
  /** KV that the step sends on, an entry per transfer: links from this NPU, layers of this stage. */
  readonly kvSends: readonly (readonly KvLink[])[];
}

export interface Context extends Lowering {
  readonly position: Position;
  readonly chain: Chain;
  /** Bytes of one token's hidden state. */
  readonly hiddenBytes: number;
  /** Node behind which each layer of the stage starts, in order; -1 at the program's start. */
  readonly layerStarts: number[];
}

export function contextOf(lowering: Lowering, position: Position, chain: Chain): Context {
  const { model, engine } = lowering.instance;
  const hiddenBytes = model.hiddenSize * dtypeBytes[engine.dtype];
  return { ...lowering, position, chain, hiddenBytes, layerStarts: [] };
}

export function lowerStage(lowering: Lowering, position: Position): Template {
  const chain = new Chain(lowering.strings);
  lowerStageInto(chain, lowering, position);
  return chain.seal();
}

/**
 * Parts of a batch side by side on one device: while one part's attention is elsewhere, another part
 * computes. Host terms of the step are the first part's, those of a request its own part's.
 */
export function lowerInterleaved(parts: readonly Lowering[], position: Position): Template {
  const later = { ...position, warmUp: false, rearranges: false };
  // KV of the whole batch is complete with its last part.
  const first = { ...position, kvSends: parts.length > 1 ? [] : position.kvSends };
  const own = parts.map((lowering, index) => {
    const { perSequenceNs } = lowering.stepOverhead;
    return index === 0 ? lowering : { ...lowering, stepOverhead: { perStepNs: 0, perSequenceNs } };
  });
  if (position.groups.tensor !== undefined) return lowerLayerByLayer(own, first, later);
  const chain = new Chain(parts[0].strings);
  own.forEach((lowering, index) => {
    chain.restart();
    lowerStageInto(chain, lowering, index === 0 ? first : later);
  });
  return chain.seal();
}

/** Ranks must run the collectives of all parts in one order: a layer of one part, then of the next. */
function lowerLayerByLayer(parts: readonly Lowering[], first: Position, later: Position): Template {
  const chain = new Chain(parts[0].strings, true);
  const contexts = parts.map((lowering, index) =>
    contextOf(lowering, index === 0 ? first : later, chain),
  );
  const last = parts.map(() => -1);
  const each = (lower: (context: Context) => void): void =>
    contexts.forEach((context, part) => {
      chain.restart();
      chain.last = last[part];
      lower(context);
      last[part] = chain.last;
    });
  const { numLayers } = parts[0].instance.model;
  const layers = Array.from({ length: numLayers }, (_, layer) => layer);
  each((context) => {
    const { groups, rearranges } = context.position;
    if (rearranges) moveExperts(context, chain, groups, layers);
    lowerHost(context);
    lowerEmbedding(context);
  });
  for (const layer of layers) each((context) => lowerLayer(context, layer));
  each(lowerHead);
  return chain.seal();
}

function lowerStageInto(chain: Chain, lowering: Lowering, position: Position): void {
  const { instance } = lowering;
  const context = contextOf(lowering, position, chain);
  const { stage } = position;
  const layers = pipelineLayers(instance.model.numLayers, instance.pp);
  const first = firstLayerOf(instance.model.numLayers, instance.pp, stage);
  const own = Array.from({ length: layers[stage] }, (_, i) => first + i);
  if (position.rearranges) moveExperts(lowering, chain, position.groups, own);
  receiveFromPreviousStage(context);
  lowerHost(context);
  if (stage === 0) lowerEmbedding(context);
  for (const layer of own) lowerLayer(context, layer);
  if (stage === instance.pp - 1) lowerHead(context);
  sendToNextStage(context);
}

export function lowerEmbedding(context: Context): void {
  lowerOperators(context, -1, '', context.sequence.embedding);
}

export function lowerHead(context: Context): void {
  lowerOperators(context, -1, '', context.sequence.head);
}

export function lowerHost(context: Context): void {
  const { chain, quantities, terms, stepOverhead, position } = context;
  const { perStepNs, perSequenceNs } = stepOverhead;
  if (position.warmUp) chain.compute('warm_up', quantities.add({ kind: 'warmUp' }));
  if (terms.stepOverhead && perStepNs + perSequenceNs > 0) {
    const overhead = quantities.add({ kind: 'stepOverhead', perStepNs, perSequenceNs });
    chain.compute('step_overhead', overhead);
  }
}

function lowerLayer(context: Context, layer: number): void {
  const prefix = `layer${layer}.`;
  context.layerStarts.push(context.chain.last);
  lowerAttention(context, layer, prefix);
  lowerFeedForward(context, layer, prefix);
}

export function lowerAttention(context: Context, layer: number, prefix: string): void {
  lowerOperators(context, layer, prefix, context.sequence.attention);
}

export function lowerFeedForward(context: Context, layer: number, prefix: string): void {
  const { sequence } = context;
  if (!isMoeLayer(context.instance.model, layer)) {
    lowerOperators(context, layer, prefix, sequence.dense);
    return;
  }
  const { chain, hiddenBytes, position } = context;
  const { groups, expertRank, sharedBeside } = position;
  const site: ExpertSite = {
    lowering: context,
    chain,
    groups,
    expertRank,
    sharedBeside,
    hiddenBytes,
    layer,
    prefix,
    ahead: fetchStart(context, layer, 1),
    fetch: (operator) => fetchWeights(context, layer, prefix, operator),
  };
  lowerExperts(site);
}

function lowerOperators(
  context: Context,
  layer: number,
  prefix: string,
  operators: readonly Operator[],
): void {
  for (const operator of operators) {
    const name = `${prefix}${operator.name}`;
    const weights = fetchWeights(context, layer, prefix, operator);
    const offloaded = operator.key === 'attention' && context.pimNode !== undefined;
    const node = offloaded
      ? lowerPimAttention(context, prefix, name)
      : context.chain.compute(name, timeOf(context, layer, operator));
    if (weights >= 0) context.chain.join(node, weights);
    if (operator.key === 'attention') sendKv(context, prefix, layer);
    lowerCollective(context, name, operator);
  }
}

/**
 * Prefill attention on the device, decode attention in memory, side by side; what follows waits for
 * both. The KV of prompt tokens moves to the memory behind their attention, beside the chain.
 */
function lowerPimAttention(context: Context, prefix: string, name: string): number {
  const { chain, quantities, pimNode = 0 } = context;
  const before = chain.last;
  const duration = quantities.add({ kind: 'pimAttention' });
  const bytes = quantities.add({ kind: 'pimBytes' });
  const inMemory = chain.pim(`${prefix}pim_attention`, pimNode, duration, bytes, before);
  const onDevice = chain.compute(name, quantities.add({ kind: 'prefillAttention' }));
  const stored = quantities.add({ kind: 'pimStoreBytes' });
  chain.store(`${prefix}kv.to_pim`, TensorLocation.remote, pimNode, stored, onDevice);
  chain.gather([onDevice, inMemory]);
  return onDevice;
}

/** Layer by layer, beside the chain, where vLLM's connectors save a layer: behind its attention. */
function sendKv(context: Context, prefix: string, layer: number): void {
  const { chain, quantities, instance, position } = context;
  position.kvSends.forEach((links, index) => {
    for (const { src, dst, heads, layers } of links) {
      if (!layers.includes(layer)) continue;
      const perToken = heads * kvHeadBytes(instance);
      const bytes = quantities.add({ kind: 'kvBytes', index, perToken });
      const tag = quantities.add({ kind: 'kvTag', index });
      chain.branchSend(`${prefix}kv.send`, src, dst, bytes, tag);
    }
  });
}

function timeOf(context: Context, layer: number, operator: Operator): number {
  const { quantities, instance } = context;
  const name = profileName(operator);
  switch (operator.key ?? 'tokens') {
    case 'sequences':
      return quantities.add({ kind: 'sequences', operator: name });
    case 'attention':
      return quantities.add({ kind: attentionKind(instance, layer) });
    default:
      return quantities.add({ kind: 'tokens', operator: name });
  }
}

function attentionKind({ model }: Instance, layer: number): 'attention' | 'localAttention' {
  return attendsLocally(model, layer) ? 'localAttention' : 'attention';
}

/** What the ranks of a stage exchange behind an operator; nothing for a single rank. */
function lowerCollective(context: Context, name: string, operator: Operator): void {
  const { tensor } = context.position.groups;
  if (tensor === undefined) return;
  const { terms } = context;
  if (operator.after === 'allReduce') allReduceHidden(context, name, tensor);
  if (operator.after === 'embeddingAllReduce' && terms.embeddingAllReduce) {
    allReduceHidden(context, name, tensor);
  }
  if (operator.after === 'logitsGather' && terms.logitsGather) {
    const { model, tp, engine } = context.instance;
    const perSequence = (model.vocabSize / tp) * dtypeBytes[engine.dtype];
    const shard = context.quantities.add({ kind: 'bytes', perToken: 0, perSequence });
    context.chain.collective(`${name}.all_gather`, CollectiveType.allGather, tensor, shard);
  }
}

function allReduceHidden(context: Context, name: string, group: Group): void {
  const bytes = perToken(context, context.hiddenBytes);
  context.chain.collective(`${name}.all_reduce`, CollectiveType.allReduce, group, bytes);
}

function perToken(context: Context, bytes: number): number {
  return context.quantities.add({ kind: 'bytes', perToken: bytes, perSequence: 0 });
}

/**
 * Hidden state and residual, of which every TP rank sends its slice to its peer in the next stage;
 * without the term the hidden state alone, whole, between each pair of ranks.
 */
function handOver(context: Context): number {
  const { terms, hiddenBytes, instance } = context;
  return perToken(context, terms.pipelineResidual ? (2 * hiddenBytes) / instance.tp : hiddenBytes);
}

function receiveFromPreviousStage(context: Context): void {
  const { instance, position, chain, terms } = context;
  const { stage, rank, groups } = position;
  if (stage === 0) return;
  const src = instance.npus[(stage - 1) * instance.tp + rank];
  const dst = instance.npus[stage * instance.tp + rank];
  const bytes = handOver(context);
  chain.receive(`stage${stage}.receive`, src, dst, pipelineTag, bytes);
  if (groups.tensor !== undefined && terms.pipelineResidual) {
    const { allGather } = CollectiveType;
    chain.collective(`stage${stage}.receive.all_gather`, allGather, groups.tensor, bytes);
  }
}

function sendToNextStage(context: Context): void {
  const { instance, position, chain } = context;
  const { stage, rank } = position;
  if (stage === instance.pp - 1) return;
  const src = instance.npus[stage * instance.tp + rank];
  const dst = instance.npus[(stage + 1) * instance.tp + rank];
  chain.send(`stage${stage}.send`, src, dst, pipelineTag, handOver(context));
}
