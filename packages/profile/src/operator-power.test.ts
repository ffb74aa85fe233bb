/** Powers are looked up between what was measured, never beyond, and only where they were. */
import { describe, expect, it } from 'vitest';
import { operatorPowerOf } from './operator-power.js';
import { type ProfileRow, ProfileTableBuilder } from './profile-table.js';

const info = {
  hardware: 'X',
  model: 'm',
  dtype: 'bf16',
  source: 'test',
  measurement: 'kernel',
} as const;

function powerOf(...rows: ProfileRow[]) {
  const builder = new ProfileTableBuilder();
  for (const row of rows) builder.add(row);
  return operatorPowerOf(builder.build(info));
}

const dense = (operator: string, tokens: number, powerWatts?: number): ProfileRow => ({
  kind: 'dense',
  operator,
  tp: 1,
  tokens,
  durationNs: 1000,
  ...(powerWatts !== undefined && { powerWatts }),
});
const attention = (
  tokens: number,
  contextTokens: number,
  sequences: number,
  decodeContextTokens: number,
  powerWatts: number,
): ProfileRow => ({
  kind: 'attention',
  operator: 'attention',
  tp: 1,
  tokens,
  contextTokens,
  sequences,
  decodeContextTokens,
  durationNs: 1000,
  powerWatts,
});
const decodes = {
  prefillCount: 0,
  prefillNewTokens: [],
  prefillContextTokens: [],
  decodeCount: 2,
  decodeContextSum: 300,
};
const chunk = {
  prefillCount: 1,
  prefillNewTokens: [64],
  prefillContextTokens: [0],
  decodeCount: 0,
  decodeContextSum: 0,
};

describe('operatorPowerOf', () => {
  it('is nothing for a table without powers', () => {
    expect(powerOf(dense('qkv_proj', 1))).toBeUndefined();
  });

  it('interpolates between sizes and holds at the ends', () => {
    const power = powerOf(dense('qkv_proj', 100, 200), dense('qkv_proj', 300, 400));
    const at = (tokens: number) => power?.denseW('qkv_proj', 1, tokens);
    expect([1, 100, 200, 300, 5000].map(at)).toEqual([200, 200, 300, 400, 400]);
  });

  it('knows what was not measured', () => {
    const power = powerOf(
      dense('qkv_proj', 100, 200),
      dense('o_proj', 100),
      attention(0, 0, 1, 100, 150),
      attention(0, 0, 4, 200, 180),
    );
    expect(power?.denseW('o_proj', 1, 100)).toBeUndefined();
    expect(power?.denseW('qkv_proj', 2, 100)).toBeUndefined();
    expect(power?.perSequenceW('lm_head', 1, 1)).toBeUndefined();
    expect(power?.moeW(1, 8, 8)).toBeUndefined();
    expect(power?.attentionW(1, decodes)).toBeGreaterThanOrEqual(150);
    expect(power?.attentionW(1, decodes)).toBeLessThanOrEqual(200);
    expect(power?.attentionW(1, chunk)).toBeUndefined();
    expect(power?.attentionW(1, { ...chunk, decodeCount: 2, decodeContextSum: 300 })).toBe(
      undefined,
    );
    expect(power?.attentionW(1, { ...chunk, prefillCount: 0 })).toBeUndefined();
  });
});
