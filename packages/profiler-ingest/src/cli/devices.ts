/** The data sheets under profiles/devices, and files of the same form. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearest, parseWith, UserError } from '@astrolabe/base';
import { readJson } from '@astrolabe/base/cli';
import { type Device, deviceSchema } from '@astrolabe/profile';

// The same depth from src/cli and dist/cli.
const shipped = fileURLToPath(new URL('../../../../profiles/devices', import.meta.url));

export function readDevices(directory = shipped): Device[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => readDevice(join(directory, name)));
}

function readDevice(path: string): Device {
  return parseWith(deviceSchema, readJson(path), path);
}

/** By name or alias; undefined when there is no such data sheet. */
export function findDevice(name: string): Device | undefined {
  return readDevices().find((device) => device.name === name || device.aliases.includes(name));
}

/** @param nameOrFile a shipped device, or a JSON file of the same form */
export function deviceOf(nameOrFile: string): Device {
  if (nameOrFile.endsWith('.json')) return readDevice(nameOrFile);
  const device = findDevice(nameOrFile);
  if (device !== undefined) return device;
  const names = readDevices().map(({ name }) => name);
  const guess = nearest(nameOrFile, names);
  throw new UserError(`no data sheet for device "${nameOrFile}"`, {
    hint: `${guess === undefined ? '' : `did you mean "${guess}"? `}there is ${names.join(', ')}`,
  });
}

/** What attention kernels get of the memory bandwidth, bytes per ns. */
export function attentionBandwidthBytesPerNs(device: Device): number {
  return device.memory_bandwidth_gb_s * device.kv_efficiency;
}
