/** Bandwidths are found where prompts explain TTFT as measured. */
import { describe, expect, it } from 'vitest';
import { fitLink } from './fit-link.js';

/** What a link of 100 GB/s looks like, simulated with another: 50 ns a token at 100. */
const slope = (bandwidthGBps: number): number => 5000 / 100 - 5000 / bandwidthGBps;
const at = (...bandwidths: number[]) =>
  bandwidths.map((bandwidthGBps) => ({ bandwidthGBps, ttftSlopeNs: slope(bandwidthGBps) }));

describe('fitLink', () => {
  it('solves for the time per byte, whatever the order and spacing', () => {
    expect(fitLink(at(400, 200, 50))).toEqual({
      bandwidthGBps: expect.closeTo(100, 9),
      inside: true,
    });
    expect(fitLink(at(20, 300))).toEqual({ bandwidthGBps: expect.closeTo(100, 9), inside: true });
    expect(fitLink(at(100, 50))).toEqual({ bandwidthGBps: expect.closeTo(100, 9), inside: true });
    expect(fitLink(at(200, 100))).toEqual({ bandwidthGBps: expect.closeTo(100, 9), inside: true });
  });

  it('gives the nearest bandwidth, and says so, where none agrees', () => {
    expect(fitLink(at(90, 45))).toEqual({ bandwidthGBps: 90, inside: false });
    expect(fitLink(at(400, 200))).toEqual({ bandwidthGBps: 200, inside: false });
    expect(fitLink([{ bandwidthGBps: 7, ttftSlopeNs: 3 }])).toMatchObject({ bandwidthGBps: 7 });
  });
});
