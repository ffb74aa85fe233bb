/**
 * DRAM and PIM device files in DRAMsim3's .ini form: what one channel stores and delivers. The
 * arithmetic is LLMServingSim's (PIM model): capacity of a rank from its geometry, bandwidth from bus
 * width and data rate, latency CL clock cycles.
 */
import { UserError } from '@astrolabe/base';

interface DramDevice {
  readonly channelGB: number;
  readonly channelBandwidthGBps: number;
  readonly latencyNs: number;
  readonly idlePowerWatts: number | undefined;
  readonly peakPowerWatts: number | undefined;
}

const required = [
  'bankgroups',
  'banks_per_group',
  'rows',
  'columns',
  'device_width',
  'bus_width',
  'channel_size',
  'data_rate',
  'CL',
  'tCK',
] as const;

/** @throws UserError a line that is not key = value, a missing or non-numeric key */
export function readDramIni(text: string, at: string): DramDevice {
  const values = new Map<string, string>();
  text.split('\n').forEach((raw, i) => {
    const line = raw.replace(/[#;].*$/, '').trim();
    if (line === '' || line.startsWith('[')) return;
    const equals = line.indexOf('=');
    if (equals < 1) {
      throw new UserError(`expected key = value, got "${line}"`, { at: `${at}:${i + 1}` });
    }
    values.set(line.slice(0, equals).trim(), line.slice(equals + 1).trim());
  });
  const number = (key: string): number => {
    const value = Number(values.get(key));
    if (!values.has(key) || !Number.isFinite(value)) {
      const got = values.has(key) ? `"${values.get(key)}"` : 'nothing';
      throw new UserError(`${key}: expected a number, got ${got}`, { at });
    }
    return value;
  };
  const [groups, banks, rows, columns, deviceWidth, busWidth, channelMB, dataRate, cl, clockNs] =
    required.map(number);
  const devicesPerRank = busWidth / deviceWidth;
  const pageBytes = (columns * deviceWidth) / 8;
  const rankMB = ((pageBytes * (rows / 1024)) / 1024) * groups * banks * devicesPerRank;
  const watts = (key: string): number | undefined =>
    values.has(key) ? number(key) / 1000 : undefined;
  return {
    channelGB: Math.max(rankMB, channelMB) / 1024,
    channelBandwidthGBps: ((busWidth / 8) * dataRate) / 1000,
    latencyNs: cl * clockNs,
    idlePowerWatts: watts('idle_power'),
    peakPowerWatts: watts('peak_power'),
  };
}
