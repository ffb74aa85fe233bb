/**
 * A profile from a data sheet: every operator takes as long as its arithmetic or its memory traffic,
 * whichever is longer, with the effects that matter at serving's sizes: tiles and waves (a GEMM or
 * attention call runs in whole tiles, spread over the compute units), caches, launch costs.
 * Shapes and bytes per operator as vLLM runs them. Times in ns, sizes in bytes.
 *
 * The shape of the curves (soft maximum, tile sizes, cost per decode) was chosen by looking at the
 * RTX 4090 and RTX PRO 6000 bundles; no device's measured times enter its own roofline.
 */
import { UserError } from '@astrolabe/base';
import type { LatentAttentionShape, ModelShape, WeightPart } from '@astrolabe/config';
import type { Device } from './device.js';
import { type ProfileTable, ProfileTableBuilder } from './profile-table.js';

const bytesOf: Record<string, number> = { bf16: 2, fp16: 2, fp32: 4, fp8: 1, int8: 1 };

/** Output tiles of a GEMM; smaller ones reuse less of what they load. */
const gemmTiles = [
  { rows: 128, columns: 128, efficiency: 1 },
  { rows: 64, columns: 128, efficiency: 0.85 },
  { rows: 64, columns: 64, efficiency: 0.7 },
  { rows: 32, columns: 64, efficiency: 0.5 },
  { rows: 16, columns: 64, efficiency: 0.35 },
] as const;
/** Rows of a tile of an expert's GEMM. */
const expertTile = 64;
/** Query rows of an attention tile. */
const attentionTile = 64;
/** Part of an unfinished wave that is lost: schedulers choose smaller tiles for the rest. */
const waveLoss = 0.3;
/** How far a kernel falls below its slower resource while both are nearly as slow. */
const softness = 3;
/** Each decode beyond the first costs its own tiles' start, on 8 KV heads, ns. */
const decodeStartNs = 300;
/** Kernels of one attention call. */
const attentionLaunches = 4;
/** Sorting and drawing, whatever the device. */
const samplerNs = 25_000;

/** What one rank of a model runs. */
interface Rank {
  readonly device: Device;
  readonly peakPerNs: number;
  readonly bandwidthBytesPerNs: number;
  readonly bytes: number;
  /** Of an element of the weights. */
  readonly weightBytes: number;
  readonly shape: ModelShape;
  readonly tp: number;
}

/** @throws UserError the device has no peak for the dtype, or the model cannot be divided so */
export function rooflineTable(
  device: Device,
  shape: ModelShape,
  dtype: string,
  tpDegrees: readonly number[],
): ProfileTable {
  const peakTflops = device.peak_tflops[dtype];
  const bytes = bytesOf[dtype];
  if (bytes === undefined) {
    throw new UserError(`no roofline of dtype "${dtype}"`, {
      hint:
        `expected ${Object.keys(bytesOf).join(', ')}; a checkpoint that is quantised keeps that of ` +
        'its activations',
    });
  }
  if (peakTflops === undefined) {
    throw new UserError(`${device.name} has no ${dtype} peak`, {
      hint: `it has ${Object.keys(device.peak_tflops).join(', ')}`,
    });
  }
  const builder = new ProfileTableBuilder();
  for (const tp of tpDegrees) {
    if (shape.numHeads % tp !== 0) {
      throw new UserError(`${shape.numHeads} heads cannot be divided by TP ${tp}`);
    }
    addRank(
      {
        device,
        peakPerNs: peakTflops * 1e3,
        bandwidthBytesPerNs: device.memory_bandwidth_gb_s,
        bytes,
        weightBytes: bytes,
        shape,
        tp,
      },
      builder,
    );
  }
  return builder.build({
    hardware: device.name,
    model: shape.name,
    dtype,
    source: `roofline of ${device.name} (${device.source})`,
    measurement: 'roofline',
    ...(device.roofline_caution === undefined ? {} : { caution: device.roofline_caution }),
    device: `${device.vendor} ${device.name}`,
  });
}

/** 1 to 16 one by one, then eight a power of two, to 16384: what tile effects need. */
const tokenGrid = grid(16_384, 8);
const sequenceGrid = grid(1024, 4);

function grid(most: number, perOctave: number): number[] {
  const keys = new Set<number>();
  for (let key = 1; key <= 16; key++) keys.add(key);
  for (let low = 16; low < most; low *= 2) {
    for (let i = 1; i <= perOctave; i++) keys.add(low + Math.round((low * i) / perOctave));
  }
  return [...keys];
}

function addRank(rank: Rank, into: ProfileTableBuilder): void {
  const { device, shape, tp } = rank;
  const h = shape.hiddenSize;
  const q = (shape.numHeads * shape.headDim) / tp;
  const kv = Math.max(1, Math.floor(shape.numKvHeads / tp)) * shape.headDim;
  const attention = withWeightsOf(rank, 'attention');
  const dense: Record<string, (tokens: number) => number> = {
    embedding: (t) => elementwise(rank, 2 * t * h),
    layernorm: (t) => elementwise(rank, 4 * t * h),
    rotary_emb: (t) => elementwise(rank, 2 * t * (q + kv)),
    final_layernorm: (t) => elementwise(rank, 4 * t * h),
    ...(shape.mla === undefined
      ? {
          qkv_proj: (t: number) => gemm(attention, t, h, q + 2 * kv),
          o_proj: (t: number) => gemm(attention, t, q, h),
        }
      : latentProjections(attention, shape.mla)),
  };
  if (shape.qkNorm) dense.qk_norm = (t) => 2 * elementwise(rank, t * (q + kv));
  const shared = (shape.moe?.sharedIntermediateSize ?? 0) / tp;
  if (shared > 0) {
    const always = withWeightsOf(rank, 'shared');
    dense.shared_gate_up_proj = (t) => gemm(always, t, h, 2 * shared);
    dense.shared_act_fn = (t) => elementwise(rank, 3 * t * shared);
    dense.shared_down_proj = (t) => gemm(always, t, shared, h);
  }
  if (shape.moe === undefined || shape.moe.denseLayers !== undefined) {
    const inner = shape.intermediateSize / tp;
    const block = withWeightsOf(rank, 'dense');
    dense.gate_up_proj = (t) => gemm(block, t, h, 2 * inner);
    dense.act_fn = (t) => elementwise(rank, 3 * t * inner);
    dense.down_proj = (t) => gemm(block, t, inner, h);
  }
  for (const [operator, time] of Object.entries(dense)) {
    for (const tokens of tokenGrid) {
      into.add({ kind: 'dense', operator, tp, tokens, durationNs: Math.round(time(tokens)) });
    }
  }
  for (const sequences of sequenceGrid) {
    const head = gemm(rank, sequences, h, shape.vocabSize / tp);
    // Two passes over logits of 4 bytes.
    const logits = (2 * sequences * shape.vocabSize * 4) / rank.bytes;
    const sampler = samplerNs + elementwise(rank, logits) - device.launch_ns;
    const row = { kind: 'per_sequence', tp, sequences } as const;
    into.add({ ...row, operator: 'lm_head', durationNs: Math.round(head) });
    into.add({ ...row, operator: 'sampler', durationNs: Math.round(sampler) });
  }
  addAttention(rank, into);
  if (shape.moe !== undefined) addMoe(rank, into);
}

/** Projections of multi-head latent attention: the latent is the same on every rank. */
function latentProjections(
  rank: Rank,
  mla: LatentAttentionShape,
): Record<string, (tokens: number) => number> {
  const { shape, tp } = rank;
  const heads = shape.numHeads / tp;
  const h = shape.hiddenSize;
  const query = heads * (mla.nopeDim + mla.ropeDim);
  const { queryRank, kvRank } = mla;
  const latent = kvRank + mla.ropeDim;
  return {
    qkv_a_proj: (t) => gemm(rank, t, h, (queryRank ?? query) + latent),
    latent_norm: (t) => elementwise(rank, 2 * t * (kvRank + (queryRank ?? 0))),
    ...(queryRank === undefined
      ? {}
      : { q_b_proj: (t: number) => gemm(rank, t, queryRank, query) }),
    kv_b_proj: (t) => gemm(rank, t, kvRank, heads * (mla.nopeDim + mla.valueDim)),
    o_proj: (t) => gemm(rank, t, heads * mla.valueDim, h),
  };
}

/**
 * The rank as matrices of a part of the model find it: quantised ones are smaller, and are multiplied
 * at their type's peak if activations are quantised, too, and the device has one. Others are converted
 * on the way, at the peak of the model's type, as weight-only kernels do.
 */
function withWeightsOf(rank: Rank, part: WeightPart): Rank {
  const { quantization } = rank.shape;
  if (quantization === undefined || !quantization.parts.includes(part)) return rank;
  const { compute, weightBits } = quantization;
  const peakTflops = compute === undefined ? undefined : rank.device.peak_tflops[compute];
  return {
    ...rank,
    weightBytes: weightBits / 8,
    peakPerNs: peakTflops === undefined ? rank.peakPerNs : peakTflops * 1e3,
  };
}

/** t rows by k by n, with the tile shape and split of k that suit it best, as libraries choose. */
function gemm(rank: Rank, t: number, k: number, n: number): number {
  const { device, bytes } = rank;
  const traffic = k * n * rank.weightBytes + t * (k + n) * bytes;
  const memoryNs = traffic / (rank.bandwidthBytesPerNs * device.memory_efficiency);
  return device.launch_ns + softMax(gemmComputeNs(rank, t, k, n), memoryNs);
}

function gemmComputeNs({ device, peakPerNs }: Rank, t: number, k: number, n: number): number {
  const perNs = peakPerNs * device.gemm_efficiency;
  if (!device.works_in_tiles) return (2 * t * k * n) / perNs;
  const unitPerNs = perNs / device.compute_units;
  let computeNs = Number.POSITIVE_INFINITY;
  for (const { rows, columns, efficiency } of gemmTiles) {
    const tileNs = (2 * rows * columns * k) / (unitPerNs * efficiency);
    const tiles = Math.ceil(t / rows) * Math.ceil(n / columns);
    for (const split of [1, 2, 4, 8]) {
      const ns = (waves(tiles * split, device.compute_units) * tileNs) / split;
      computeNs = Math.min(computeNs, ns);
    }
  }
  return computeNs;
}

/** Fewer rows than a tile still take the tile's time, in which memory usually decides. */
function waves(tiles: number, units: number): number {
  const exact = tiles / units;
  return Math.max(1, exact + waveLoss * (Math.ceil(exact) - exact));
}

function softMax(a: number, b: number): number {
  return (a ** softness + b ** softness) ** (1 / softness);
}

/** Reads and writes `elements` once; what fits in the cache was left there by the operator before. */
function elementwise(rank: Rank, elements: number): number {
  const traffic = elements * rank.bytes;
  const cached = Math.max(0, 1 - traffic / (1.5 * rank.device.cache_mib * 2 ** 20));
  return rank.device.launch_ns + traffic / (rank.bandwidthBytesPerNs * (1 + 1.5 * cached));
}

const contexts = [
  0, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072,
];
const chunks = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];
const decodeCounts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

function addAttention(rank: Rank, into: ProfileTableBuilder): void {
  const reachable = contexts.filter((context) => context <= rank.shape.maxPositionEmbeddings);
  const add = (q: number, c: number, n: number, k: number, timeNs: number): void =>
    into.add({
      kind: 'attention',
      operator: 'attention',
      tp: rank.tp,
      tokens: q,
      contextTokens: c,
      sequences: n,
      decodeContextTokens: k,
      durationNs: Math.round(timeNs),
    });
  for (const q of chunks) {
    for (const c of reachable) add(q, c, 0, 0, batchNs(rank, q, c, 0, 0));
  }
  for (const n of decodeCounts) {
    for (const k of reachable.slice(1)) add(0, 0, n, k, decodeNs(rank, n, k));
  }
  // Times of a mix are sums of simple terms: every other key is enough.
  const some = (keys: readonly number[]): number[] => keys.filter((_, i) => i % 2 === 0);
  const last = chunks[chunks.length - 1];
  for (const q of [...some(chunks), last]) {
    for (const c of some(reachable)) {
      for (const n of some(decodeCounts)) {
        for (const k of reachable.slice(1)) add(q, c, n, k, batchNs(rank, q, c, n, k));
      }
    }
  }
}

/**
 * A chunk and decodes in one kernel: each head's query rows in tiles, which take their time even
 * where only one row is a query (a decode); where the kernel packs the query heads of a KV head into
 * a tile, decodes need one tile per KV head.
 */
function batchNs(rank: Rank, chunk: number, context: number, n: number, k: number): number {
  const { device, shape, tp } = rank;
  const heads = shape.numHeads / tp;
  const kvHeads = Math.max(1, Math.floor(shape.numKvHeads / tp));
  const tile = device.works_in_tiles ? attentionTile : 1;
  // ns per key seen by one tile on one unit; 4 d operations per query row and key.
  const keyNs =
    (4 * tile * shape.headDim * device.compute_units) /
    (rank.peakPerNs * device.attention_efficiency);
  const chunkTiles = Math.ceil(chunk / tile) * heads;
  const chunkKeys = windowed(shape, context + chunk / 2);
  const decodeTiles = n * (device.packs_query_heads ? kvHeads : heads);
  const decodeKeys = windowed(shape, k);
  const work = chunkTiles * chunkKeys + decodeTiles * decodeKeys;
  const longest = n > 0 ? Math.max(chunkKeys, decodeKeys) : chunkKeys;
  const idle =
    n > 0 ? 0 : waves(chunkTiles, device.compute_units) - chunkTiles / device.compute_units;
  const computeNs = keyNs * Math.max(longest, work / device.compute_units + idle * chunkKeys);
  const traffic = kvBytes(rank) * (windowed(shape, context + chunk) + n * decodeKeys);
  const memoryNs = traffic / (rank.bandwidthBytesPerNs * device.kv_efficiency);
  const startNs = n * decodeStartNs * (heads / 32) * (128 / decodeUnits(device));
  return attentionLaunches * device.launch_ns + startNs + softMax(computeNs, memoryNs);
}

function decodeUnits(device: Device): number {
  return device.vector_units ?? device.compute_units;
}

/** Reads every sequence's KV cache once. */
function decodeNs(rank: Rank, sequences: number, context: number): number {
  const { device, shape, tp } = rank;
  const traffic = sequences * windowed(shape, context) * kvBytes(rank);
  const heads = Math.max(1, Math.floor(shape.numKvHeads / tp));
  const startNs = (sequences - 1) * decodeStartNs * (heads / 8) * (128 / decodeUnits(device));
  const streamNs = traffic / (rank.bandwidthBytesPerNs * device.kv_efficiency);
  const computeNs = latentDecodeNs(rank, sequences * windowed(shape, context));
  const readNs = computeNs === 0 ? streamNs : softMax(streamNs, computeNs);
  return attentionLaunches * device.launch_ns + startNs + readNs;
}

/** Absorbed latent attention: every head multiplies with the whole latent, for scores and values. */
function latentDecodeNs({ device, shape, tp, peakPerNs }: Rank, keys: number): number {
  if (shape.mla === undefined) return 0;
  const { kvRank, ropeDim } = shape.mla;
  const operations = (2 * (kvRank + ropeDim) + 2 * kvRank) * (shape.numHeads / tp) * keys;
  return operations / (peakPerNs * device.attention_efficiency);
}

function windowed(shape: ModelShape, context: number): number {
  return shape.slidingWindow === undefined ? context : Math.min(context, shape.slidingWindow);
}

/** K and V of one token on one layer of one rank. */
function kvBytes(rank: Rank): number {
  const { shape, tp } = rank;
  if (shape.mla !== undefined) return (shape.mla.kvRank + shape.mla.ropeDim) * rank.bytes;
  return 2 * Math.max(1, Math.floor(shape.numKvHeads / tp)) * shape.headDim * rank.bytes;
}

/** 1, 2, 4 and so on, and `most`: 160 experts, or the 6 that one token reaches. */
function doublings(most: number): number[] {
  const counts: number[] = [];
  for (let count = 1; count < most; count *= 2) counts.push(count);
  return [...counts, most];
}

/** Gate, then the activated experts' gate-up and down projections as one grouped GEMM each. */
function addMoe(rank: Rank, into: ProfileTableBuilder): void {
  const { shape, tp, device } = rank;
  const moe = shape.moe as NonNullable<ModelShape['moe']>;
  const h = shape.hiddenSize;
  const inner = moe.intermediateSize;
  const experts = withWeightsOf(rank, 'experts');
  for (const tokens of tokenGrid.filter((key) => Number.isInteger(Math.log2(key)))) {
    const most = Math.min(moe.numExperts, tokens * moe.expertsPerToken);
    for (const activated of doublings(most)) {
      const rows = (tokens * moe.expertsPerToken) / activated;
      const tile = device.works_in_tiles ? expertTile : 1;
      const tileRows = Math.ceil(rows / tile) * tile;
      const flops = 6 * activated * tileRows * h * inner;
      const weights = activated * 3 * h * inner * experts.weightBytes;
      const memoryNs = weights / (rank.bandwidthBytesPerNs * device.memory_efficiency);
      const computeNs = flops / (experts.peakPerNs * device.gemm_efficiency);
      const durationNs =
        gemm(rank, tokens, h, moe.numExperts) +
        softMax(computeNs, memoryNs) +
        elementwise(rank, 3 * tokens * moe.expertsPerToken * inner) +
        elementwise(rank, (1 + moe.expertsPerToken) * tokens * h) +
        2 * device.launch_ns;
      into.add({
        kind: 'moe',
        operator: 'moe',
        tp,
        tokens,
        activatedExperts: activated,
        durationNs: Math.round(durationNs),
      });
    }
  }
}
