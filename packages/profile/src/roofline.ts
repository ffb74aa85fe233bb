/**
 * A profile from a data sheet: every operator takes as long as its arithmetic or its memory traffic,
 * whichever is longer, with the effects that matter at serving's sizes: tiles and waves (a GEMM or
 * attention call runs in whole tiles, spread over the compute units), caches, launch costs.
 * Shapes and bytes per operator: layers.md of the design notes. Times in ns, sizes in bytes.
 *
 * The shape of the curves (soft maximum, tile sizes, cost per decode) was chosen by looking at the
 * RTX 4090 and RTX PRO 6000 bundles; no device's measured times enter its own roofline.
 */
import { UserError } from '@astrolabe/base';
import type { ModelShape } from '@astrolabe/config';
import type { Device } from './device.js';
import { type ProfileTable, ProfileTableBuilder } from './profile-table.js';

const bytesOf: Record<string, number> = { bf16: 2, fp16: 2, fp32: 4, fp8: 1, int8: 1 };

/** Rows and columns of a GEMM's output tile. */
const gemmTile = 128;
/** Query rows of an attention tile. */
const attentionTile = 64;
/** Part of an unfinished wave that is lost: schedulers choose smaller tiles for the rest. */
const waveLoss = 0.3;
/** How far a kernel falls below its slower resource while both are nearly as slow. */
const softness = 3;
/** Each decode beyond the first costs its own tiles' start, on 8 KV heads, ns. */
const decodeStartNs = 300;
const attentionLaunches = 4;
const samplerNs = 25_000;

/** What one rank of a model runs. */
interface Rank {
  readonly device: Device;
  readonly peakPerNs: number;
  readonly bandwidthBytesPerNs: number;
  readonly bytes: number;
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
  if (peakTflops === undefined || bytes === undefined) {
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
  const { shape, tp } = rank;
  const h = shape.hiddenSize;
  const q = (shape.numHeads * shape.headDim) / tp;
  const kv = Math.max(1, Math.floor(shape.numKvHeads / tp)) * shape.headDim;
  const dense: Record<string, (tokens: number) => number> = {
    embedding: (t) => elementwise(rank, 2 * t * h),
    layernorm: (t) => elementwise(rank, 4 * t * h),
    qkv_proj: (t) => gemm(rank, t, h, q + 2 * kv),
    rotary_emb: (t) => elementwise(rank, 2 * t * (q + kv)),
    o_proj: (t) => gemm(rank, t, q, h),
    final_layernorm: (t) => elementwise(rank, 4 * t * h),
  };
  if (shape.qkNorm) dense.qk_norm = (t) => 2 * elementwise(rank, t * (q + kv));
  if (shape.moe === undefined) {
    const inner = shape.intermediateSize / tp;
    dense.gate_up_proj = (t) => gemm(rank, t, h, 2 * inner);
    dense.act_fn = (t) => elementwise(rank, 3 * t * inner);
    dense.down_proj = (t) => gemm(rank, t, inner, h);
  }
  for (const [operator, time] of Object.entries(dense)) {
    for (const tokens of tokenGrid) {
      into.add({ kind: 'dense', operator, tp, tokens, durationNs: Math.round(time(tokens)) });
    }
  }
  for (const sequences of sequenceGrid) {
    const head = gemm(rank, sequences, h, shape.vocabSize / tp);
    const sampler = samplerNs + (2 * sequences * shape.vocabSize * 4) / rank.bandwidthBytesPerNs;
    const row = { kind: 'per_sequence', tp, sequences } as const;
    into.add({ ...row, operator: 'lm_head', durationNs: Math.round(head) });
    into.add({ ...row, operator: 'sampler', durationNs: Math.round(sampler) });
  }
  addAttention(rank, into);
  if (shape.moe !== undefined) addMoe(rank, into);
}

/** t rows by k by n. */
function gemm(rank: Rank, t: number, k: number, n: number): number {
  const { device, bytes } = rank;
  const tiles = Math.ceil(t / gemmTile) * Math.ceil(n / gemmTile);
  const tileNs =
    (2 * gemmTile * gemmTile * k * device.compute_units) /
    (rank.peakPerNs * device.gemm_efficiency);
  const computeNs = waves(tiles, device.compute_units) * tileNs;
  const traffic = (k * n + t * (k + n)) * bytes;
  const memoryNs = traffic / (rank.bandwidthBytesPerNs * device.memory_efficiency);
  return device.launch_ns + softMax(computeNs, memoryNs);
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

/** A chunk and decodes apart; beside each other they add up. */
function addAttention(rank: Rank, into: ProfileTableBuilder): void {
  const { shape, tp } = rank;
  const longest = shape.maxPositionEmbeddings;
  const reachable = contexts.filter((context) => context <= longest);
  const row = { kind: 'attention', operator: 'attention', tp } as const;
  for (const tokens of chunks) {
    for (const contextTokens of reachable) {
      const durationNs = Math.round(prefillNs(rank, tokens, contextTokens));
      into.add({
        ...row,
        tokens,
        contextTokens,
        sequences: 0,
        decodeContextTokens: 0,
        durationNs,
      });
    }
  }
  for (const sequences of decodeCounts) {
    for (const decodeContextTokens of reachable.slice(1)) {
      const durationNs = Math.round(decodeNs(rank, sequences, decodeContextTokens));
      into.add({ ...row, tokens: 0, contextTokens: 0, sequences, decodeContextTokens, durationNs });
    }
  }
}

/** 4 d (c + q / 2) operations per query row and head, in tiles of query rows. */
function prefillNs(rank: Rank, chunk: number, context: number): number {
  const { device, shape, tp } = rank;
  const seen = windowed(shape, context + chunk / 2);
  const tiles = Math.ceil(chunk / attentionTile) * (shape.numHeads / tp);
  const tileNs =
    (4 * attentionTile * seen * shape.headDim * device.compute_units) /
    (rank.peakPerNs * device.attention_efficiency);
  const traffic = kvBytes(rank) * windowed(shape, context + chunk);
  const memoryNs = traffic / (rank.bandwidthBytesPerNs * device.kv_efficiency);
  const computeNs = waves(tiles, device.compute_units) * tileNs;
  return attentionLaunches * device.launch_ns + softMax(computeNs, memoryNs);
}

/** Reads every sequence's KV cache once. */
function decodeNs(rank: Rank, sequences: number, context: number): number {
  const { device, shape, tp } = rank;
  const traffic = sequences * windowed(shape, context) * kvBytes(rank);
  const heads = Math.max(1, shape.numKvHeads / tp);
  const startNs = (sequences - 1) * decodeStartNs * (heads / 8) * (128 / device.compute_units);
  const streamNs = traffic / (rank.bandwidthBytesPerNs * device.kv_efficiency);
  return attentionLaunches * device.launch_ns + startNs + streamNs;
}

function windowed(shape: ModelShape, context: number): number {
  return shape.slidingWindow === undefined ? context : Math.min(context, shape.slidingWindow);
}

/** K and V of one token on one layer of one rank. */
function kvBytes(rank: Rank): number {
  const { shape, tp } = rank;
  return 2 * Math.max(1, Math.floor(shape.numKvHeads / tp)) * shape.headDim * rank.bytes;
}

/** Gate, then the activated experts' gate-up and down projections as one grouped GEMM each. */
function addMoe(rank: Rank, into: ProfileTableBuilder): void {
  const { shape, tp, device } = rank;
  const moe = shape.moe as NonNullable<ModelShape['moe']>;
  const h = shape.hiddenSize;
  const inner = moe.intermediateSize;
  for (const tokens of tokenGrid.filter((key) => Number.isInteger(Math.log2(key)))) {
    const most = Math.min(moe.numExperts, tokens * moe.expertsPerToken);
    for (let activated = 1; activated <= most; activated *= 2) {
      const rows = (tokens * moe.expertsPerToken) / activated;
      const tileRows = Math.ceil(rows / gemmTile) * gemmTile;
      const flops = 6 * activated * tileRows * h * inner;
      const weights = activated * 3 * h * inner * rank.bytes;
      const memoryNs = weights / (rank.bandwidthBytesPerNs * device.memory_efficiency);
      const computeNs = flops / (rank.peakPerNs * device.gemm_efficiency);
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
