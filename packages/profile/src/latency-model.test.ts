/** A model with some times of its own is the model it is made of in everything else. */
import { expect, test } from 'vitest';
import { type LatencyModel, withTimes } from './latency-model.js';

/** A class, as models of tables are: what is on its prototype counts, too. */
class Example implements LatencyModel {
  readonly hardware = 'X';
  readonly model = 'm';
  readonly dtype = 'bf16';
  readonly source = 's';
  readonly measurement = 'roofline';
  readonly engine = 'e 1';
  readonly tpDegrees = [1, 2];
  readonly counters = { exact: 1, interpolated: 2, extrapolated: 3 };
  readonly isolated = { packsQueryHeads: true, launchNs: 1, bandwidthGBps: 2 };
  private get factor(): number {
    return 10;
  }
  has(operator: string, tp: number): boolean {
    return operator === 'o' && tp === 2;
  }
  denseNs(_: string, tp: number, tokens: number): number {
    return this.factor * tokens + tp;
  }
  perSequenceNs(_: string, tp: number, sequences: number): number {
    return 100 * this.factor * sequences + tp;
  }
  attentionNs(tp: number): number {
    return 5 * this.factor + tp;
  }
  moeNs(tp: number, tokens: number, activatedExperts: number): number {
    return this.factor * tokens + activatedExperts + tp;
  }
}

test('withTimes replaces what is given', () => {
  const base = new Example();
  const made = withTimes(base, {
    attentionNs: (tp, batch) => 7 * base.attentionNs(tp) + batch.decodeCount,
  });
  const { attentionNs, has, denseNs, perSequenceNs, moeNs, ...about } = made;
  expect(about).toEqual({ ...base });
  expect(made.counters).toBe(base.counters);
  const batch = {
    prefillCount: 0,
    prefillNewTokens: [],
    prefillContextTokens: [],
    decodeCount: 3,
    decodeContextSum: 9,
  };
  expect(attentionNs(2, batch)).toBe(7 * 52 + 3);
  expect([has('o', 2), has('o', 1), has('p', 2)]).toEqual([true, false, false]);
  expect([denseNs('o', 2, 4), perSequenceNs('o', 2, 4), moeNs(2, 4, 1)]).toEqual([42, 4002, 43]);
});
