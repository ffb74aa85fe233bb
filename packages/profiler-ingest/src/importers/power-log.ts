/**
 * Power logs to the three-state power model of a cluster file: idle, standby (awake, nothing to do)
 * and active. Readings cluster around these three; the active level is the mean of the readings while
 * the device was busy. Formats: nvidia-smi CSV (`timestamp, index, utilization.gpu, power.draw`, with
 * or without its header and units) and `YYYY-MM-DD HH:MM:SS,watts` of an IPMI logger.
 */
import { quantileSorted, UserError } from '@astrolabe/base';
import Papa from 'papaparse';

export interface PowerReading {
  readonly timeMs: number;
  readonly device: number;
  readonly watts: number;
  /** Percent; undefined where the log has none. */
  readonly utilisation: number | undefined;
}

interface PowerStates {
  readonly idlePowerWatts: number;
  readonly standbyPowerWatts: number;
  readonly activePowerWatts: number;
  /** Longest time at standby before falling to idle, s; 0 if it never fell. */
  readonly standbyDurationS: number;
  readonly energyJ: number;
  readonly readings: number;
}

/** @throws UserError unknown form, a broken line, or no reading. Readings of `[N/A]` are left out. */
export function readPowerLog(text: string, at: string): PowerReading[] {
  const { data } = Papa.parse<string[]>(text, { skipEmptyLines: true });
  if (data.length === 0) throw new UserError('empty power log', { at });
  const rows = data.map((row) => row.map((cell) => cell.trim()));
  const hasHeader = !/^\d{4}[/-]/.test(rows[0][0]);
  const header = hasHeader ? rows[0].map((name) => name.replace(/ \[.*\]$/, '')) : undefined;
  const columns = columnsOf(header, rows[hasHeader ? 0 : 0].length, at);
  const readings: PowerReading[] = [];
  rows.slice(hasHeader ? 1 : 0).forEach((row, i) => {
    const place = `${at}:${i + (hasHeader ? 2 : 1)}`;
    const power = row[columns.power];
    if (power === undefined) throw new UserError('line cut short', { at: place });
    if (power === '[N/A]') return;
    const watts = Number.parseFloat(power);
    const timeMs = parseTime(row[columns.time]);
    if (!Number.isFinite(watts) || Number.isNaN(timeMs)) {
      throw new UserError(`expected a time and watts, got "${row.join(', ')}"`, { at: place });
    }
    const utilisation = columns.utilisation < 0 ? undefined : row[columns.utilisation];
    readings.push({
      timeMs,
      device: columns.device < 0 ? 0 : Number(row[columns.device]),
      watts,
      utilisation: utilisation === undefined ? undefined : Number.parseFloat(utilisation),
    });
  });
  if (readings.length === 0) throw new UserError('no reading of a power', { at });
  return readings.sort((a, b) => a.timeMs - b.timeMs);
}

function columnsOf(header: readonly string[] | undefined, width: number, at: string) {
  if (header !== undefined) {
    const power = header.findIndex((name) => name.startsWith('power.draw') || name === 'watts');
    if (power < 0) throw new UserError('no power.draw column', { at: `${at}:1` });
    return {
      time: Math.max(0, header.indexOf('timestamp')),
      device: header.indexOf('index'),
      utilisation: header.indexOf('utilization.gpu'),
      power,
    };
  }
  if (width === 2) return { time: 0, device: -1, utilisation: -1, power: 1 };
  if (width === 4) return { time: 0, device: 1, utilisation: 2, power: 3 };
  throw new UserError(`${width} columns, expected time and watts, or nvidia-smi's four`, {
    at: `${at}:1`,
  });
}

/** Local wall-clock time as if it were UTC: only differences count. */
function parseTime(text: string): number {
  const match = /^(\d{4})[/-](\d\d)[/-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d+))?$/.exec(text);
  if (match === null) return Number.NaN;
  const [, year, month, day, hour, minute, second, fraction = '0'] = match;
  const whole = Date.UTC(+year, +month - 1, +day, +hour, +minute, +second);
  return whole + Number(`0.${fraction}`) * 1000;
}

/** @param readings of one device, ascending in time, not empty */
export function powerStates(readings: readonly PowerReading[]): PowerStates {
  const sorted = readings.map(({ watts }) => watts).sort((a, b) => a - b);
  const idle = quantileSorted(sorted, 0.02);
  const top = quantileSorted(sorted, 0.98);
  const busy = readings.filter(({ utilisation, watts }) =>
    utilisation === undefined ? watts > (idle + top) / 2 : utilisation >= 50,
  );
  const active = meanOf(busy) ?? top;
  // Awake and not busy: clearly above idle, clearly below active.
  const [low, high] = [idle + 0.15 * (active - idle), idle + 0.6 * (active - idle)];
  const isStandby = ({ watts, utilisation }: PowerReading): boolean =>
    watts > low && watts < high && !((utilisation ?? 0) > 0);
  const standby = meanOf(readings.filter(isStandby)) ?? idle;
  let energyJ = 0;
  let standbySince: number | undefined;
  let standbyDurationS = 0;
  readings.forEach((reading, i) => {
    if (i > 0) energyJ += (reading.watts * (reading.timeMs - readings[i - 1].timeMs)) / 1000;
    if (isStandby(reading)) {
      standbySince ??= reading.timeMs;
      standbyDurationS = Math.max(standbyDurationS, (reading.timeMs - standbySince) / 1000);
    } else standbySince = undefined;
  });
  const digits = (value: number): number => Number(value.toFixed(2));
  return {
    idlePowerWatts: digits(idle),
    standbyPowerWatts: digits(standby),
    activePowerWatts: digits(active),
    standbyDurationS: digits(standbyDurationS),
    energyJ: digits(energyJ),
    readings: readings.length,
  };
}

function meanOf(readings: readonly PowerReading[]): number | undefined {
  if (readings.length === 0) return undefined;
  return readings.reduce((sum, { watts }) => sum + watts, 0) / readings.length;
}
