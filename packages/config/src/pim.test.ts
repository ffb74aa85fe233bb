/** PIM device files: channels and bandwidth by hand, errors with their place. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parsePim, pimMemory } from './pim.js';

const shipped = (name: string): string =>
  readFileSync(new URL(`../../../cluster_config/pim/${name}.ini`, import.meta.url), 'utf8');

describe('parsePim', () => {
  it.each([
    // 64 bit x 3200 MT/s = 25.6 GB/s; 4 devices of 8 banks x 64 Ki rows x 2 KiB = 4 GiB < 8 GiB.
    ['DDR4_8GB_3200_pim', 8, 25.6, 13.86],
    ['HBM2_1GB_2000_pim', 1, 32, 14],
    ['LPDDR4X_2GB_4266_pim', 2, 8.532, 16.848],
    ['LPDDR5_2GB_6400_pim', 2, 12.8, 10.625],
  ])('%s: %d GiB a channel, %d GB/s, %d ns', (name, gib, bandwidth, latency) => {
    const device = parsePim(shipped(name), name);
    expect(device.channelBytes / 2 ** 30).toBe(gib);
    expect(device.channelBandwidthGBps).toBeCloseTo(bandwidth, 9);
    expect(device.latencyNs).toBeCloseTo(latency, 9);
    expect(device.peakW).toBeGreaterThan(device.idleW);
  });

  it('reads KV at the fitted rate: 4096 B in the nanoseconds of a token', () => {
    const { readBandwidthGBps, fixedNs } = parsePim(shipped('HBM2_1GB_2000_pim'), 'x');
    expect(4096 / readBandwidthGBps).toBeCloseTo(242.0548, 3);
    expect(fixedNs).toBe(14513.5015);
  });

  it('needs every key and one whole channel', () => {
    expect(() => parsePim('[timing]\nCL = 5', 'my.ini')).toThrow(/^my.ini: .*bankgroups/);
    const device = parsePim(shipped('DDR4_8GB_3200_pim'), 'x');
    expect(pimMemory(device, 512 * 2 ** 30, 'x').numChannels).toBe(64);
    expect(() => pimMemory(device, 4 * 2 ** 30, 'nodes[0]')).toThrow('not even one channel');
  });
});
