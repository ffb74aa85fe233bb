/**
 * Goal: what the capture script writes is what the adapters read. Method: files it wrote with
 * PyTorch 1.13 on a CPU, and, where a PyTorch is installed, a fresh run of it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readText } from '@astrolabe/base/cli';
import { modelOfTable, type ProfileTable } from '@astrolabe/profile';
import initSqlJs from 'sql.js';
import { afterAll, describe, expect, test } from 'vitest';
import { readDramIni } from '../importers/dram-ini.js';
import { importCsvFiles } from '../importers/import-csv.js';
import { powerStates, readPowerLog } from '../importers/power-log.js';
import { importKineto } from './kineto-file.js';
import { importNsys } from './nsys-file.js';

const fixtures = fileURLToPath(new URL('../../fixtures', import.meta.url));
const script = fileURLToPath(
  new URL('../../../../tools/torch-profiler/capture.py', import.meta.url),
);
const names = { hardware: 'CPU', model: 'tiny', dtype: 'fp32' };
const options = { tp: 1, shape: undefined, clockGHz: undefined };
const folder = mkdtempSync(join(tmpdir(), 'astrolabe-capture-'));
afterAll(() => rmSync(folder, { recursive: true }));

function checkBlock(table: ProfileTable): void {
  const model = modelOfTable(table);
  const operators = ['layernorm', 'qkv_proj', 'rotary_emb', 'o_proj', 'gate_up_proj', 'act_fn'];
  for (const operator of operators) expect(model.has(operator, 1)).toBe(true);
  expect(model.has('attention', 1)).toBe(true);
  expect(model.denseNs('qkv_proj', 1, 16)).toBeGreaterThan(100);
  expect(table.info.measurement).toBe('wall_clock');
}

test('a real trace and the CSV beside it', async () => {
  const trace = join(fixtures, 'torch-1.13-cpu-trace.json.gz');
  const table = await importKineto(trace, names, options, undefined);
  checkBlock(table);
  const at = join(fixtures, 'torch-1.13-cpu-operators.csv');
  const csv = importCsvFiles([{ at, text: readText(at) }], names, options);
  checkBlock(csv);
  expect(table.length).toBe(csv.length);
});

test('a trace cut short is an error, plain and packed', async () => {
  const packed = readFileSync(join(fixtures, 'torch-1.13-cpu-trace.json.gz'));
  const plain = gunzipSync(packed);
  const broken = join(folder, 'cut.json');
  writeFileSync(broken, plain.subarray(0, plain.length - 50));
  await expect(importKineto(broken, names, options, undefined)).rejects.toThrow(
    /cut\.json: byte \d+: trace cut short/,
  );
  const brokenGz = join(folder, 'cut.json.gz');
  writeFileSync(brokenGz, packed.subarray(0, packed.length - 500));
  await expect(importKineto(brokenGz, names, options, undefined)).rejects.toThrow(/complete gzip/);
  const text = join(folder, 'text.json');
  writeFileSync(text, '{"traceEvents": [nonsense]}');
  await expect(importKineto(text, names, options, undefined)).rejects.toThrow(/not valid JSON/);
});

const python = ['python3', '/usr/bin/python3'].find(
  (name) => spawnSync(name, ['-c', 'import torch']).status === 0,
);

describe.skipIf(python === undefined)('capture.py (needs python3 with torch)', () => {
  test('a fresh run through both adapters', async () => {
    const grid = ['--max-tokens', '4', '--max-sequences', '1', '--max-context', '64'];
    const config = join(fixtures, 'tiny-config.json');
    const rest = ['--config', config, '--output', folder, '--dtype', 'float32', '--repeats', '1'];
    execFileSync(python as string, [script, ...rest, ...grid, '--device', 'cpu'], {
      stdio: 'ignore',
    });
    const trace = join(folder, 'trace.json.gz');
    const table = await importKineto(trace, names, options, undefined);
    expect(modelOfTable(table).has('down_proj', 1)).toBe(true);
  });
});

test('Nsight Systems sqlite: kernels to launches to NVTX ranges, per process', async () => {
  const sql = await initSqlJs();
  const database = new sql.Database();
  const process = 7 * 0x1000000;
  database.exec(`
    CREATE TABLE StringIds (id INTEGER, value TEXT);
    INSERT INTO StringIds VALUES (1, 'flash_fwd'), (2, 'cudaLaunchKernel');
    CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INT, end INT, globalPid INT, correlationId INT,
      demangledName INT);
    INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (500, 7500, ${process}, 3, 1);
    CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INT, end INT, globalTid INT, correlationId INT,
      nameId INT);
    INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (200, 300, ${process + 5}, 3, 2);
    CREATE TABLE NVTX_EVENTS (start INT, end INT, globalTid INT, text TEXT, textId INT);
    INSERT INTO NVTX_EVENTS VALUES (100, 400, ${process + 5},
      'astrolabe:attention:attention:tokens=32', NULL);
  `);
  const file = join(folder, 'report.sqlite');
  writeFileSync(file, database.export());
  const table = await importNsys(file, names, options);
  expect(table.values.durationNs[0]).toBe(7000);
  expect(table.keys.tokens[0]).toBe(32);
  const other = join(folder, 'other.sqlite');
  writeFileSync(other, gzipSync('x'));
  await expect(importNsys(other, names, options)).rejects.toThrow(/not a sqlite file/);
});

test('power logs: three states, energy, missing readings', () => {
  const line = (second: number, busy: number, watts: string): string =>
    `2025/01/01 00:00:${String(second).padStart(2, '0')}.000, 0, ${busy}, ${watts}`;
  const rows = [
    ...[0, 1, 2, 3].map((s) => line(s, 0, '30.0')),
    ...[4, 5, 6, 7].map((s) => line(s, 100, '300.0')),
    ...[8, 9, 10].map((s) => line(s, 0, '90.0')),
    line(11, 0, '[N/A]'),
    ...[12, 13].map((s) => line(s, 0, '30.0')),
  ];
  const states = powerStates(readPowerLog(rows.join('\n'), 'p.csv'));
  expect(states).toMatchObject({
    idlePowerWatts: 30,
    standbyPowerWatts: 90,
    activePowerWatts: 300,
    standbyDurationS: 2,
  });
  const header = 'timestamp, index, utilization.gpu [%], power.draw [W]\n';
  const withUnits = `${header}2025/01/01 00:00:00.000, 1, 5 %, 31.5 W\n`;
  expect(readPowerLog(withUnits, 'p.csv')).toMatchObject([
    { device: 1, watts: 31.5, utilisation: 5 },
  ]);
  expect(readPowerLog('2025-12-11 21:08:18,390\n', 's.csv')[0].watts).toBe(390);
  expect(() => readPowerLog(`${header}${line(1, 5, '[N/A]')}\n`, 's.csv')).toThrow(
    's.csv: no reading of a power',
  );
  expect(() => readPowerLog('2025-12-11 21:08:18,x\n', 's.csv')).toThrow(/^s\.csv:1: expected/);
});

test('DRAM files: capacity, bandwidth and latency of a channel', () => {
  const keys = {
    bankgroups: 4,
    banks_per_group: 4,
    rows: 65_536,
    columns: 1024,
    device_width: 8,
    bus_width: 64,
    channel_size: 8192,
    data_rate: 3200,
    CL: 22,
    tCK: 0.63,
  };
  const ini = Object.entries(keys).map(([key, value]) => `${key} = ${value}  # note`);
  expect(readDramIni(`[dram]\n${ini.join('\n')}\n`, 'd.ini')).toMatchObject({
    channelGB: 8,
    channelBandwidthGBps: 25.6,
    latencyNs: 13.86,
  });
  expect(() => readDramIni('[dram]\nrows = x\n', 'd.ini')).toThrow(/^d\.ini: bankgroups/);
  expect(() => readDramIni('rows 5\n', 'd.ini')).toThrow(/^d\.ini:1: expected key = value/);
});
