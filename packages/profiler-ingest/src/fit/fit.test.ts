/**
 * Goal: fits recover what they can represent, leave no bias in sums over serving's batches, and say
 * how wrong they are. Method: made-up operators; replay of seeded batch mixes on the real bundles.
 */
import { existsSync } from 'node:fs';
import { Random } from '@astrolabe/base';
import {
  type AttentionBatch,
  type LatencyModel,
  ProfileTableBuilder,
  profileInfoSchema,
} from '@astrolabe/profile';
import { describe, expect, test } from 'vitest';
import { openProfiles } from '../cli/open-profiles.js';
import { gridErrors, lineAt, lineErrors } from './fit-errors.js';
import { fitGrid } from './fit-grid.js';
import { fitLine, linePoints } from './fit-line.js';
import { fitMixed, predictMixed } from './fit-mixed.js';
import { fitProfile } from './fit-profile.js';

test('a line of two pieces and a stair needs their knots only', () => {
  const time = (x: number): number => (x <= 8 ? 100 + 10 * x : 300 + 5 * x);
  const points = linePoints(Array.from({ length: 16 }, (_, i) => [i + 1, time(i + 1)] as const));
  const line = fitLine(points, 1e-6, 10);
  expect(line.at).toEqual([1, 8, 9, 16]);
  expect(lineAt(line, 4.5)).toBeCloseTo(145, 3);
  expect(lineErrors(points, line)).toMatchObject({ points: 14, biasPercent: expect.any(Number) });
});

test('a bilinear surface is recovered exactly, also at a knot without points', () => {
  const points = { row: [], column: [], ns: [] } as Record<'row' | 'column' | 'ns', number[]>;
  for (const row of [1, 2, 4]) {
    for (const column of [0, 5, 10, 20]) {
      if (row === 2 && column === 10) continue;
      points.row.push(row);
      points.column.push(column);
      points.ns.push(1000 + 100 * row + 7 * column + 3 * row * column);
    }
  }
  const columns = {
    row: Float64Array.from(points.row),
    column: Float64Array.from(points.column),
    ns: Float64Array.from(points.ns),
  };
  const knots = { rows: Float64Array.of(1, 2, 4), columns: Float64Array.of(0, 10, 20) };
  expect(fitGrid(columns, knots)[4]).toBeCloseTo(1000 + 200 + 70 + 60, 0);
  expect(gridErrors(columns, knots).p95AbsPercent).toBeLessThan(1);
});

test('a chunk plus decodes plus their interplay is of rank three', () => {
  const rows: number[][] = [];
  for (const q of [16, 64, 256]) {
    for (const c of [0, 100]) {
      for (const n of [1, 8, 64]) {
        for (const k of [16, 200])
          rows.push([q, c, n, k, 50 + q + c / 10 + n * (5 + k) + (q * n) / 8]);
      }
    }
  }
  const column = (i: number): Float64Array => Float64Array.from(rows, (row) => row[i]);
  const points = {
    chunk: column(0),
    context: column(1),
    decodes: column(2),
    decodeContext: column(3),
    timeNs: column(4),
  };
  const chunkKnots = { rows: Float64Array.of(16, 64, 256), columns: Float64Array.of(0, 100) };
  const decodeKnots = { rows: Float64Array.of(1, 8, 64), columns: Float64Array.of(16, 200) };
  const fit = fitMixed(points, chunkKnots, decodeKnots, 3, () => 1);
  const predicted = predictMixed(points, chunkKnots, decodeKnots, fit);
  predicted.forEach((ns, i) => {
    expect(Math.abs(ns / points.timeNs[i] - 1)).toBeLessThan(0.002);
  });
});

const root = new URL('../../../../', import.meta.url).pathname;
const bundles = `${root}../shared/refdata/llmservingsim/v1/profiles`;

interface Step {
  readonly tokens: number;
  readonly sequences: number;
  readonly attention: AttentionBatch;
}

/** Up to `maxDecodes` decodes at mean contexts of 500 to 2500, chunks beside a part of them. */
function batchMix(count: number, maxDecodes: number, chunkShare: number): Step[] {
  const random = new Random(7, 'batch mix');
  return Array.from({ length: count }, () => {
    const decodes = Math.max(1, Math.floor(maxDecodes * (1 - 0.6 * random.uniform() ** 2)));
    const mean = 500 + random.below(2000);
    const chunks: [number, number][] = [];
    let room = 2048 - decodes;
    for (let i = random.uniform() < chunkShare ? 1 + random.below(3) : 0; i > 0 && room > 16; i--) {
      const tokens = Math.min(room, 1 + Math.floor(random.exponential(400)));
      chunks.push([tokens, random.uniform() < 0.3 ? random.below(1500) : 0]);
      room -= tokens;
    }
    return {
      tokens: 2048 - Math.max(room, 0),
      sequences: decodes + chunks.length,
      attention: {
        prefillCount: chunks.length,
        prefillNewTokens: chunks.map((chunk) => chunk[0]),
        prefillContextTokens: chunks.map((chunk) => chunk[1]),
        decodeCount: decodes,
        decodeContextSum: mean * decodes,
        decodeContexts: spread(mean, decodes, 1 + 2 * random.uniform()),
      },
    };
  });
}

/** Contexts around a mean: one longer by that factor, the others a little shorter. */
function spread(mean: number, count: number, factor: number): number[] {
  const others = count === 1 ? mean : mean - (mean * factor) / (count - 1);
  return Array.from({ length: count }, (_, i) =>
    i > 0 || count === 1 ? others : mean * (1 + factor),
  );
}

/** Time of all steps: 32 blocks, head and sampler. */
function replay(model: LatencyModel, operators: readonly string[], steps: readonly Step[]): number {
  let totalNs = 0;
  for (const { tokens, sequences, attention } of steps) {
    let blockNs = model.attentionNs(1, attention);
    for (const operator of operators) {
      blockNs += model.denseNs(operator, 1, tokens) * (operator === 'layernorm' ? 2 : 1);
    }
    totalNs += 32 * blockNs;
    totalNs += model.perSequenceNs('lm_head', 1, sequences);
    totalNs += model.perSequenceNs('sampler', 1, sequences);
  }
  return totalNs;
}

test('attention that forms no grid is refused', () => {
  const builder = new ProfileTableBuilder();
  const row = { kind: 'attention', operator: 'attention', tp: 1, durationNs: 9000 } as const;
  for (let i = 1; i <= 9; i++) {
    const chunk = { tokens: 16 * i, contextTokens: i * i };
    builder.add({ ...row, ...chunk, sequences: 2 * i, decodeContextTokens: 100 * i });
  }
  const info = { hardware: 'G', model: 'o/M', dtype: 'bf16', source: 's', measurement: 'kernel' };
  expect(() => fitProfile(builder.build(profileInfoSchema.parse(info)))).toThrow(
    'attention, mixed: 9 points that form no grid cannot be fitted',
  );
});

test('a time of 0 is refused with its row', () => {
  const builder = new ProfileTableBuilder();
  for (const tokens of [1, 2, 3]) {
    const durationNs = tokens === 2 ? 0 : 100;
    builder.add({ kind: 'dense', operator: 'qkv_proj', tp: 1, tokens, durationNs });
  }
  const names = { hardware: 'H', model: 'm', dtype: 'bf16' };
  const table = builder.build({ ...names, source: 'test', measurement: 'kernel' });
  expect(() => fitProfile(table)).toThrow(/row 2 of the profile, qkv_proj.*a time of 0 ns/);
});

describe.skipIf(!existsSync(bundles))('shipped fits (needs ../shared)', async () => {
  const raw = existsSync(bundles) ? await openProfiles(bundles) : undefined;
  const fitted = await openProfiles(`${root}profiles`);
  const operators = [
    'layernorm',
    'qkv_proj',
    'rotary_emb',
    'o_proj',
    'gate_up_proj',
    'act_fn',
    'down_proj',
  ];
  test.each([
    ['RTX4090', 128, 0.25, 0.8],
    ['RTX4090', 24, 0.5, 0.5],
    ['RTXPRO6000', 128, 0, 0.5],
    ['RTXPRO6000', 128, 0.25, 0.5],
    ['RTXPRO6000', 128, 1, 0.8],
    ['RTXPRO6000', 256, 0.25, 0.5],
  ])(
    '%s, up to %i decodes, chunks in %f of steps: sums within %f %%',
    (hardware, most, share, percent) => {
      const name = 'meta-llama/Llama-3.1-8B';
      const steps = batchMix(1000, most, share);
      const measured = replay(raw?.latencyModel(hardware, name) as LatencyModel, operators, steps);
      const ours = replay(fitted.latencyModel(hardware, name), operators, steps);
      expect(Math.abs(ours / measured - 1)).toBeLessThan(percent / 100);
    },
  );
});
