/** Fitted links replace a data sheet's figure and nothing that somebody measured. */
import { describe, expect, it } from 'vitest';
import { calibrateLinks, unusedLinks } from './calibrate-links.js';
import type { Calibration } from './calibration.js';
import { parseModel } from './model.js';
import { resolveCluster } from './resolve-cluster.js';
import type { Cluster } from './resolved-cluster.js';
import { tinyModel } from './tiny-model.js';

const model = parseModel('m', tinyModel, 'test');

function cluster(
  bandwidth: number,
  latency: number,
  hardware = ['H', 'H'],
  node: object = {},
  more: object = {},
): Cluster {
  const instances = hardware.map((name) => ({
    model_name: 'm',
    hardware: name,
    tp_size: 2,
    npu_mem: { mem_size: 2, mem_bw: 3 },
  }));
  const file = {
    link_bw: bandwidth,
    link_latency: latency,
    nodes: [{ cpu_mem: { mem_size: 1, mem_bw: 1 }, instances, ...node }],
    ...more,
  };
  return resolveCluster(file, 'c.json', { findModel: () => model });
}

const link = { nominal_gb_s: 900, bandwidth_gb_s: 200, latency_ns: 2000 };
const device = { source: 's', step_overhead_ns: 0, front_end_delay_ns: 0, warm_up_ns: 0 };
const calibration: Calibration = { devices: { H: { ...device, link }, X: device } };

describe('calibrateLinks', () => {
  it('puts the fitted link inside the nominal one', () => {
    const { linkBandwidthGBps, linkLatencyNs } = calibrateLinks(cluster(900, 0), calibration);
    expect(linkBandwidthGBps).toEqual([200, 900]);
    expect(linkLatencyNs).toEqual([2000, 0]);
  });

  it.each([
    ['another bandwidth', cluster(450, 0)],
    ['a latency of its own', cluster(900, 500)],
    ['another device', cluster(900, 0, ['X'])],
    ['a node with links of its own', cluster(900, 0, ['H'], { link_bw: 800 })],
    ['devices that differ', cluster(900, 0, ['H', 'X'])],
  ])('leaves %s as it is', (_, given) => {
    expect(calibrateLinks(given, calibration)).toBe(given);
  });

  it('replaces whatever the file says is nominal, but for a faster link', () => {
    const nominal = (bandwidth: number): Cluster =>
      cluster(bandwidth, 1000, ['H', 'H'], {}, { link_nominal: true });
    const fitted = calibrateLinks(nominal(419), calibration);
    expect(fitted.linkBandwidthGBps).toEqual([200, 419]);
    expect(fitted.linkLatencyNs).toEqual([2000, 1000]);
    expect(calibrateLinks(nominal(60), calibration).linkBandwidthGBps).toEqual([60]);
  });
});

describe('unusedLinks', () => {
  it.each([
    ['another bandwidth', cluster(450, 0), /the cluster file's stays \(450 GB\/s, 0 ns\)/],
    ['a node with links of its own', cluster(900, 0, ['H'], { link_bw: 800 }), /links of its own/],
    ['devices that differ', cluster(900, 0, ['H', 'X']), /fitted for H .* as devices differ/],
    ['a slower link', cluster(60, 1, ['H'], {}, { link_nominal: true }), /link_bw is less, 60/],
  ])('says why it leaves %s', (_, given, says) => {
    const [text, ...others] = unusedLinks(given, calibration);
    expect(text).toMatch(says);
    expect(others).toEqual([]);
  });

  it('says nothing where links are used, or nothing was fitted', () => {
    expect(unusedLinks(cluster(900, 0), calibration)).toEqual([]);
    expect(unusedLinks(cluster(450, 0, ['X']), calibration)).toEqual([]);
  });
});

describe('devices that differ inside an instance', () => {
  const memory = { mem_size: 2, mem_bw: 3 };
  const entry = { model_name: 'm', hardware: 'H', tp_size: 2, npu_mem: memory };

  it.each([
    ['stages', { ...entry, pp_size: 2, stage_hardware: ['H', 'X'] }],
    ['feed-forward devices', { ...entry, ffn: { hardware: 'X', tp_size: 1, npu_mem: memory } }],
  ])('%s keep the links of the file', (_, instance) => {
    const mixed = cluster(900, 0, [], { instances: [instance] });
    expect(calibrateLinks(mixed, calibration)).toBe(mixed);
    expect(unusedLinks(mixed, calibration)).toEqual([
      expect.stringContaining('fitted for H (200 GB/s) is not used, as devices differ'),
    ]);
  });

  it('stages that are all of another device go by that', () => {
    const others = { ...entry, hardware: 'X', pp_size: 2, stage_hardware: ['H', 'H'] };
    const fitted = calibrateLinks(cluster(900, 0, [], { instances: [others] }), calibration);
    expect(fitted.linkBandwidthGBps).toEqual([200, 900]);
  });
});
