/** The trust card tells overload from a busy but steady service, and says what was fitted. */
import { describe, expect, it } from 'vitest';
import type { RequestResult } from './metrics.js';
import { noHostTime, type TrustInputs, trustCard } from './trust-card.js';
import { formatTrustCard, overloadLine } from './trust-card-text.js';

/** One request a second; request i waits `queueingS(i)`. */
function results(count: number, queueingS: (i: number) => number): RequestResult[] {
  return Array.from({ length: count }, (_, i) => ({
    request: i,
    instance: 0,
    promptTokens: 10,
    outputTokens: 2,
    arrivalNs: i * 1e9,
    scheduledNs: (i + queueingS(i)) * 1e9,
    firstTokenNs: (i + queueingS(i)) * 1e9,
    finishNs: (i + queueingS(i) + 1) * 1e9,
    queueingNs: queueingS(i) * 1e9,
    ttftNs: queueingS(i) * 1e9,
    tpotNs: 1e9,
    itlMeanNs: 1e9,
    latencyNs: (queueingS(i) + 1) * 1e9,
    preemptions: 0,
    prefixHitTokens: 0,
    status: 'finished',
  }));
}

function card(changes: Partial<TrustInputs>) {
  return trustCard({
    results: results(16, () => 0),
    workload: [],
    saturation: [],
    lookups: undefined,
    devices: 2,
    fittedDevices: 0,
    intervals90: undefined,
    measuredLinks: undefined,
    assumedLinksShare: 0,
    ...changes,
  });
}

describe('trustCard', () => {
  it('calls waiting that grows to the end overload', () => {
    const given = card({ results: results(16, (i) => i) });
    expect(given).toMatchObject({ overloaded: true, load: 2 });
    expect(overloadLine(given)).toContain('requests came 2.0 times as fast as they were served');
  });

  it('compares the last quarter of arrivals with the first', () => {
    const steps = (last: number) => results(16, (i) => (i < 12 ? 1 : last));
    expect(card({ results: steps(2.1) }).overloaded).toBe(true);
    expect(card({ results: steps(2) }).overloaded).toBe(false);
    expect(card({ results: results(16, (i) => (i < 13 ? 1 : 2.1)) }).overloaded).toBe(false);
  });

  it('knows a load of one, however long the last answers take', () => {
    const rows = results(16, () => 0.1);
    const last = { ...rows[15], finishNs: 300e9, latencyNs: 285e9 };
    expect(card({ results: [...rows.slice(0, 15), last] }).load).toBeCloseTo(1, 9);
    expect(card({ results: rows.map((row) => ({ ...row, arrivalNs: 0 })) }).load).toBeNull();
  });

  it('sees the wait for a decode instance, which neither queue nor first token may show', () => {
    const rows = results(16, () => 0);
    expect(card({ results: rows })).toMatchObject({ overloaded: false, load: 1 });
    const handedOverNs = rows.map(({ arrivalNs }, i) => arrivalNs + i * 1e9);
    expect(card({ results: rows, handedOverNs })).toMatchObject({ overloaded: true, load: 2 });
    // Those that never get there tell nothing of the rate.
    const some = handedOverNs.map((tokenNs, i) => (i % 2 === 0 ? tokenNs : null));
    expect(card({ results: rows, handedOverNs: some }).load).toBe(2);
  });

  it('leaves those out that went away or were rejected before their turn', () => {
    const gone = { scheduledNs: null, queueingNs: null, firstTokenNs: null, ttftNs: null } as const;
    const rows = results(32, (i) => i).map((row, i) => (i < 24 ? row : { ...row, ...gone }));
    expect(card({ results: rows }).overloaded).toBe(true);
    // Seven that were served are too few to tell.
    expect(card({ results: [...rows.slice(0, 7), ...rows.slice(-8)] }).overloaded).toBe(false);
  });

  it.each([
    ['no waiting', () => 0],
    ['waiting that stays as it is', () => 3],
    ['long waiting that grows by less than as much again', (i: number) => 3 + i / 6],
    ['waiting that grows below half a second', (i: number) => i / 40],
  ])('does not call %s overload', (_, queueingS) => {
    expect(overloadLine(card({ results: results(16, queueingS) }))).toBeUndefined();
  });

  it('gives intervals by the names and units of the summary', () => {
    const metrics = { ttftMeanMs: [90, 110], outputTokensPerS: [1990, 2010] } as const;
    const text = formatTrustCard(card({ intervals90: { source: 's', metrics } })).join('\n');
    expect(text).toContain('90 % of means TTFT 90.0 to 110 ms, output 1990 to 2010 tokens/s\n');
  });

  it('says what is fitted', () => {
    expect(card({}).basis).toBe('predicted');
    expect(card({ fittedDevices: 1 }).basis).toBe('partly fitted');
    expect(card({ fittedDevices: 2 }).basis).toBe('fitted');
  });

  it('claims nothing for another program: no fit, no intervals, no lookups, no links', () => {
    const vouched: Partial<TrustInputs> = {
      fittedDevices: 2,
      intervals90: { source: 's', metrics: { ttftMeanMs: [90, 110] } },
      assumedLinksShare: 0.5,
      constantsElsewhere: ['X: fitted on m, used for n'],
    };
    expect(card({ ...vouched, foreign: {} })).toEqual(card(vouched));
    const traceGenerator = "jq -f 'linear.jq'";
    const given = card({ ...vouched, foreign: { traceGenerator } });
    expect(given).toMatchObject({
      basis: 'predicted',
      foreignStages: { traceGenerator },
      intervals90: null,
    });
    const text = formatTrustCard(given).join('\n');
    expect(text).toContain(
      `basis         operator times come from another program, ${traceGenerator}:`,
    );
    expect(text).toContain('lookups       not said');
    expect(text).not.toMatch(/fitted|90 %|constants/);
    const machine = formatTrustCard(card({ ...vouched, foreign: { systemSimulator: 'mine' } }));
    expect(machine.join('\n')).toContain(
      'basis         step times come from another program, mine:',
    );
    expect(machine.join('\n')).not.toMatch(/fitted|90 %|over links/);
  });

  it('says what host time there is, and promises no error for other terms than the known', () => {
    const text = (changes: Partial<TrustInputs>): string =>
      formatTrustCard(card(changes)).join('\n');
    expect(text({})).toMatch(/basis .* host with start values; expect TPOT within 4 %/);
    const none = text({ switched: [noHostTime] });
    expect(none).toMatch(/basis .* the host takes no time$/m);
    expect(none).toContain(`switched      ${noHostTime}: `);
    expect(text({ switched: ['--without decodeTail'] })).toMatch(/host with start values$/m);
    expect(text({ fittedDevices: 1 })).toContain('for the others host with start values');
    const intervals90 = { source: 's', metrics: { ttftMeanMs: [90, 110] } } as const;
    const switched = ['--with decodeTail'];
    expect(card({ fittedDevices: 2, intervals90 }).intervals90).not.toBeNull();
    expect(card({ fittedDevices: 2, intervals90, switched }).intervals90).toBeNull();
  });

  it('says what is assumed', () => {
    const text = formatTrustCard(card({ assumed: ['experts are chosen by a zipf gate'] }));
    expect(text).toContain('assumed       experts are chosen by a zipf gate');
  });

  it('says where constants serve what they were not fitted on', () => {
    const constantsElsewhere = ['X: fitted at TP 1, used at TP 2'];
    expect(formatTrustCard(card({ fittedDevices: 2, constantsElsewhere })).join('\n')).toContain(
      'constants     X: fitted at TP 1, used at TP 2',
    );
  });

  it('says when a power cap slowed devices, and nothing otherwise', () => {
    const cap = { node: 1, hardware: 'X', capW: 300, activeW: 400, computeSlowdown: 1.125 };
    const text = formatTrustCard(card({ powerCaps: [cap] })).join('\n');
    expect(text).toContain('node 1, X: 300 W of 400 W at full clock; compute up to 12.50 % slower');
    expect(card({ powerCaps: [] })).toEqual(card({}));
    const intervals90 = { source: 's', metrics: { ttftMeanMs: [90, 110] } } as const;
    expect(card({ powerCaps: [cap], intervals90 }).intervals90).toBeNull();
  });

  it('gives lookups outside what was measured, and odd workloads', () => {
    const sheet = {
      hardware: 'X',
      model: 'm',
      dtype: 'bf16',
      measurement: 'roofline',
      source: 'sheet of X',
    } as const;
    const text = formatTrustCard(
      card({
        lookups: { total: 4, extrapolatedShare: 0.25, profiles: [sheet] },
        workload: ['request a: error: x'],
      }),
    ).join('\n');
    expect(text).toContain('25.00 % outside the measured range');
    expect(text).toMatch(/profile {7}X, m, bf16: not measured: from a data sheet.*\(sheet of X\)/);
    expect(text).toMatch(/workload {6}request a: error/);
  });

  it('says what is known to be far off in a profile, in place of the usual error', () => {
    const tpu = {
      hardware: 'TPU',
      model: 'm',
      dtype: 'bf16',
      measurement: 'roofline',
      caution: 'decodes came out 129 % too slow',
      source: 'sheet',
    } as const;
    const lookups = { total: 4, extrapolatedShare: 0, profiles: [tpu] };
    const text = formatTrustCard(card({ lookups })).join('\n');
    expect(text).toContain('TPU, m, bf16: not measured; decodes came out 129 % too slow (sheet)');
    expect(text).not.toContain('15 % too low');
  });

  it('says how much hangs on links that the cluster file assumes', () => {
    const text = formatTrustCard(card({ assumedLinksShare: 0.26 })).join('\n');
    expect(text).toContain(
      "links         26.00 % of devices' busy time is communication alone, over links",
    );
    expect(formatTrustCard(card({ assumedLinksShare: 0.001 })).join('\n')).not.toContain('links');
  });

  it('says how much hangs on memory below the devices', () => {
    const lines = (changes: Partial<TrustInputs>): string =>
      formatTrustCard(card(changes)).join('\n');
    expect(lines({ assumedTiersShare: 0.26 })).toContain('memory        26.00 % of');
    expect(lines({ assumedTiersShare: 0.001 })).not.toContain('memory');
    const foreign = { systemSimulator: 'mine' };
    expect(lines({ assumedTiersShare: 0.26, foreign })).not.toContain('memory');
  });

  it('says what measured links timed, and what lay beyond them', () => {
    expect(formatTrustCard(card({})).join('\n')).not.toContain('links');
    const tables = ['a.json for X: measured on X'];
    const communications = { measured: 8, beyond: 2, simulated: 1 };
    const measuredLinks = { tables, communications, exposedShare: 0.25, errorPct: 40 };
    const text = formatTrustCard(card({ measuredLinks })).join('\n');
    expect(text).toContain('links         measured, a.json for X: measured on X');
    expect(text).toContain(
      '8 collectives and messages timed by the table, 2 of them (25.00 %) beyond its sizes',
    );
    expect(text).toContain('1 by the network model');
    expect(text).toContain(
      "25.0 % of devices' busy time is communication alone; 90 % of the table's times within 40 %",
    );
    const silent = card({ measuredLinks: { ...measuredLinks, communications: null } });
    expect(formatTrustCard(silent).join('\n')).toContain('does not say what it timed');
  });
});
