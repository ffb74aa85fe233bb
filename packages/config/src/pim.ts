/**
 * Memory that computes: a device file in INI form, as DRAM simulators write them, says how large,
 * fast and hungry one channel is and how fast the arithmetic beside its banks reads. Formulas of
 * size and bandwidth as LLMServingSim derives them:
 *
 *   devices per rank = bus width / device width; a page is columns x device width bits
 *   channel size     = the larger of one rank and channel_size
 *   bandwidth        = bus width / 8 x data rate; latency = CL x tCK
 */
import { parseWith, UserError } from '@astrolabe/base';
import { parse } from 'ini';
import { z } from 'zod';

const positive = z.coerce.number().positive();
const nonNegative = z.coerce.number().nonnegative();

const deviceSchema = z.looseObject({
  bankgroups: positive,
  banks_per_group: positive,
  rows: positive,
  columns: positive,
  device_width: positive.describe('bit'),
  bus_width: positive.describe('bit'),
  channel_size: positive.describe('MB of 2^20'),
  data_rate: positive.describe('MT/s'),
  CL: nonNegative.describe('cycles'),
  tCK: positive.describe('ns'),
  idle_power: nonNegative.describe('mW per channel'),
  peak_power: nonNegative.describe('mW per channel'),
  pim_read_bandwidth: positive
    .optional()
    .describe('GB/s at which the arithmetic of a channel reads; default: the channel itself'),
  pim_fixed_ns: nonNegative.default(0).describe('per request and layer, 32 heads of 128, ns'),
});

export interface PimDevice {
  readonly channelBytes: number;
  readonly channelBandwidthGBps: number;
  readonly latencyNs: number;
  readonly idleW: number;
  readonly peakW: number;
  readonly readBandwidthGBps: number;
  readonly fixedNs: number;
}

/** Of a node: its device and as many channels as its memory has. */
export interface PimMemory extends PimDevice {
  readonly numChannels: number;
}

/** @throws UserError naming the key */
export function parsePim(text: string, at: string): PimDevice {
  const keys: Record<string, unknown> = {};
  for (const [name, section] of Object.entries(parse(text))) {
    if (typeof section === 'object') Object.assign(keys, section);
    else keys[name] = section;
  }
  const device = parseWith(deviceSchema, keys, at);
  const devicesPerRank = device.bus_width / device.device_width;
  const pageBytes = (device.columns * device.device_width) / 8;
  const banks = device.bankgroups * device.banks_per_group;
  const rankMb = ((pageBytes * device.rows) / 1024 / 1024) * banks * devicesPerRank;
  const channelBandwidthGBps = ((device.bus_width / 8) * device.data_rate) / 1000;
  return {
    channelBytes: Math.max(rankMb, device.channel_size) * 2 ** 20,
    channelBandwidthGBps,
    latencyNs: device.CL * device.tCK,
    idleW: device.idle_power / 1000,
    peakW: device.peak_power / 1000,
    readBandwidthGBps: device.pim_read_bandwidth ?? channelBandwidthGBps,
    fixedNs: device.pim_fixed_ns,
  };
}

/** @throws UserError memory smaller than one channel */
export function pimMemory(device: PimDevice, memoryBytes: number, at: string): PimMemory {
  const numChannels = Math.floor(memoryBytes / device.channelBytes);
  if (numChannels === 0) {
    throw new UserError('holds not even one channel of its PIM device', { at });
  }
  return { ...device, numChannels };
}
