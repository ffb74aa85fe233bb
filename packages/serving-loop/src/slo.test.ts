/** Service levels on rows whose times are given. */
import { describe, expect, it } from 'vitest';
import type { RequestResult } from './metrics.js';
import { formatSlo, parseSlo, summariseSlo } from './slo.js';

function row(ttftMs: number | null, tpotMs: number | null, outputTokens = 10): RequestResult {
  const ns = (ms: number | null): number | null => (ms === null ? null : ms * 1e6);
  return {
    ttftNs: ns(ttftMs),
    tpotNs: ns(tpotMs),
    latencyNs: ns(ttftMs),
    outputTokens,
    status: ttftMs === null ? 'unfinished' : 'finished',
  } as RequestResult;
}

describe('SLO', () => {
  it('reads targets, one class after another', () => {
    const targets = parseSlo('chat:ttft=1s', parseSlo('ttft=200ms,tpot=50ms'));
    expect(targets).toEqual({
      '*': { ttftNs: 2e8, tpotNs: 5e7 },
      chat: { ttftNs: 1e9 },
    });
    expect(() => parseSlo('ttft=200')).toThrow('--slo: "ttft=200" is no target');
    expect(() => parseSlo('speed=1s')).toThrow('no target');
    expect(() => parseSlo('ttft=0ms')).toThrow('no target');
  });

  it('adds up targets of repeated flags, and refuses two of one kind', () => {
    const twice = parseSlo('tpot=50ms', parseSlo('ttft=200ms'));
    expect(twice).toEqual({ '*': { ttftNs: 2e8, tpotNs: 5e7 } });
    expect(parseSlo('a:b:ttft=1s')).toEqual({ 'a:b': { ttftNs: 1e9 } });
    expect(() => parseSlo('tpot=60ms', twice)).toThrow('--slo: tpot has two targets');
    expect(() => parseSlo('chat:ttft=1s,ttft=2s')).toThrow('ttft of class chat has two targets');
  });

  it('keeps long names of classes apart from their figures', () => {
    const rows = summariseSlo(
      [row(100, 1)],
      ['Conversation log'],
      parseSlo('Conversation log:ttft=1s'),
      1,
    );
    expect(formatSlo(rows)[0]).toMatch(/^SLO Conversation log 1 of 1 within/);
  });

  it('counts a request only when it meets all its targets', () => {
    const rows = [row(100, 40), row(100, 60), row(300, 40), row(null, null), row(150, null, 1)];
    const [all] = summariseSlo(rows, [], parseSlo('ttft=200ms,tpot=50ms'), 2);
    expect(all).toMatchObject({
      class: '*',
      requests: 5,
      attained: 2,
      attainmentOf: { ttft: 0.6, tpot: 0.6 },
      goodputRequestsPerS: 1,
      goodputTokensPerS: 5.5,
    });
    expect(formatSlo([all])[0]).toBe(
      'SLO           2 of 5 within ttft 200 ms, tpot 50 ms (40.0 %): goodput ' +
        '1.00 requests/s, 6 output tokens/s',
    );
  });

  it('an answer that was cut short meets nothing, however soon it began', () => {
    const rows = [row(100, 40), { ...row(100, 40), status: 'aborted' } as RequestResult];
    const [all] = summariseSlo(rows, [], parseSlo('ttft=200ms'), 1);
    expect(all).toMatchObject({ requests: 2, attained: 1, attainmentOf: { ttft: 0.5 } });
  });

  it('keeps classes apart; a class without targets falls to *, or out', () => {
    const rows = [row(100, 1), row(500, 1), row(500, 1)];
    const classes = ['chat', 'batch', undefined];
    const both = summariseSlo(rows, classes, parseSlo('chat:ttft=50ms', parseSlo('ttft=1s')), 1);
    expect(both.map((s) => [s.class, s.requests, s.attained])).toEqual([
      ['chat', 1, 0],
      ['*', 2, 2],
    ]);
    expect(formatSlo(both)[1]).toMatch(/^SLO others +2 of 2 within/);
    expect(summariseSlo(rows, classes, parseSlo('chat:ttft=50ms'), 1)).toHaveLength(1);
    const odd = ['constructor', 'toString', undefined];
    expect(summariseSlo(rows, odd, parseSlo('chat:ttft=50ms'), 1)).toEqual([]);
  });
});
