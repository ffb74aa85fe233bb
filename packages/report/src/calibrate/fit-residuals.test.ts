/** The fit finds the constants that made the data. */
import { describe, expect, it } from 'vitest';
import type { RequestRow } from '../run-data.js';
import { fitResiduals } from './fit-residuals.js';

/** Requests of 11 tokens; TPOT 10 ms + overhead, TTFT 50 ms + 2 overheads + delay. */
function rows(stepOverheadNs: number, delayNs: number, scatterNs: number): RequestRow[] {
  return Array.from({ length: 40 }, (_, i) => {
    const arrivalNs = i * 1e9;
    const scatter = ((i % 5) - 2) * scatterNs;
    const firstTokenNs = arrivalNs + 50e6 + 2 * stepOverheadNs + delayNs;
    return {
      id: String(i),
      promptTokens: 10,
      outputTokens: 11,
      arrivalNs,
      scheduledNs: arrivalNs,
      firstTokenNs,
      lastTokenNs: firstTokenNs + 10 * (10e6 + stepOverheadNs + scatter),
    };
  });
}

const grid = [0, 1e6, 2e6].map((stepOverheadNs) => ({
  stepOverheadNs,
  rows: rows(stepOverheadNs, 0, 0),
}));

describe('fitResiduals', () => {
  it('recovers step overhead and front-end delay, and brackets them', () => {
    const fit = fitResiduals(grid, rows(1.5e6, 3e6, 1e5), 1);
    expect(fit.stepOverhead.valueNs).toBeCloseTo(1.5e6, -2);
    expect(fit.stepOverhead.intervalNs[0]).toBeLessThan(1.5e6);
    expect(fit.stepOverhead.intervalNs[1]).toBeGreaterThan(1.5e6);
    // The nearest simulation has 0.5 ms less overhead in each of two steps.
    expect(fit.frontEndDelay.valueNs).toBeCloseTo(3e6 + 1e6, -2);
    expect(fit.unqueuedRequests).toBe(40);
    // Scatter is -2 to 2 times 0.1 ms of 11.5, 0.12 on average.
    expect(fit.tpotErrorPct).toBeCloseTo((0.12 / 11.5) * 100, 2);
    expect(fit.tpotExcessPct).toBeCloseTo(0, 6);
  });

  it('never goes below what was simulated', () => {
    const fit = fitResiduals(grid.slice(1), rows(0, 0, 0), 1);
    expect(fit.stepOverhead.valueNs).toBe(1e6);
    // 11 ms where 10 were measured.
    expect(fit.tpotExcessPct).toBeCloseTo(10, 6);
    // The simulated first tokens come 2 ms later than the real ones: no delay, not less than none.
    expect(fit.frontEndDelay.valueNs).toBe(0);
  });

  it('takes few answers of two tokens or more for what they are, and refuses none', () => {
    const short = (row: RequestRow): RequestRow => ({
      ...row,
      outputTokens: 1,
      lastTokenNs: row.firstTokenNs,
    });
    const shortGrid = grid.map((point) => ({
      ...point,
      rows: point.rows.map((row, i) => (i === 7 ? row : short(row))),
    }));
    const real = rows(1.5e6, 3e6, 0).map((row, i) => (i === 7 ? row : short(row)));
    const { stepOverhead } = fitResiduals(shortGrid, real, 1);
    // Of 40 requests drawn, none is the one in a third of all cases.
    for (const ns of [stepOverhead.valueNs, ...stepOverhead.intervalNs]) {
      expect(ns).toBeCloseTo(1.5e6, -1);
    }
    expect(() => fitResiduals(shortGrid, real.map(short), 1)).toThrow(/^no request got two tokens/);
  });

  it('knows how TTFT grows with the prompt where unqueued prompts differ', () => {
    const longer = (ns: number) => (row: RequestRow, i: number) => ({
      ...row,
      promptTokens: 10 + i,
      firstTokenNs: row.firstTokenNs + i * ns,
      lastTokenNs: row.lastTokenNs + i * ns,
    });
    const real = rows(1e6, 0, 0);
    expect(fitResiduals(grid, real, 1).ttftSlopeNs).toBeUndefined();
    const unlike = grid.map((point) => ({ ...point, rows: point.rows.map(longer(100)) }));
    expect(fitResiduals(unlike, real.map(longer(350)), 1).ttftSlopeNs).toBeCloseTo(250, 6);
    const queued = real
      .map(longer(350))
      .map((row) => ({ ...row, scheduledNs: row.arrivalNs + 1e9 }));
    expect(fitResiduals(unlike, queued, 1).ttftSlopeNs).toBeUndefined();
  });

  it('takes from the simulation who queued, where a client measured', () => {
    const client = rows(1e6, 3e6, 0).map((row) => ({ ...row, scheduledNs: undefined }));
    const half = grid.map((point) => ({
      ...point,
      rows: point.rows.map((row, i) =>
        i < 20 ? row : { ...row, scheduledNs: row.arrivalNs + 1e9 },
      ),
    }));
    expect(fitResiduals(grid, client, 1)).toMatchObject({ unqueuedRequests: 40 });
    expect(fitResiduals(half, client, 1)).toMatchObject({ requests: 40, unqueuedRequests: 20 });
  });

  it('repeats with its seed', () => {
    const real = rows(1.2e6, 1e6, 2e5);
    expect(fitResiduals(grid, real, 3)).toEqual(fitResiduals(grid, real, 3));
  });
});
