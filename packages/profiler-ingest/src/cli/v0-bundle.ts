/** Reads an LLMServingSim v0 bundle from disk: tpN folders directly below the model. */
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { readText } from '@astrolabe/base/cli';
import {
  measuredTables,
  type ProfileInfo,
  type ProfileTable,
  ProfileTableBuilder,
  type TableSource,
} from '@astrolabe/profile';
import { type FloorCount, type KvFloor, readAttentionRows } from '../importers/attention-rows.js';
import { CsvTable } from '../importers/csv.js';
import { readV0Layers } from '../importers/llmservingsim-v0.js';
import { attentionBandwidthBytesPerNs, findDevice } from './devices.js';
import { findFile, type ProfileNames, tpFolders } from './v1-bundle.js';

export function openV0Bundle(directory: string, names: ProfileNames): TableSource {
  const tpDegrees = degreesOf(directory);
  const load = (tp: number): ProfileTable => importTp(directory, names, [tp]);
  return measuredTables(baseInfo(names), tpDegrees, load);
}

export function importV0Bundle(directory: string, names: ProfileNames): ProfileTable {
  return importTp(directory, names, degreesOf(directory));
}

function degreesOf(directory: string): number[] {
  const tpDegrees = tpFolders(directory);
  if (tpDegrees.length === 0) throw new UserError('no tpN folder here', { at: directory });
  return tpDegrees;
}

function baseInfo({ hardware, model, dtype }: ProfileNames): ProfileInfo {
  return {
    hardware,
    model,
    dtype,
    source: 'LLMServingSim 1.x profile bundle (unfused operators, eager)',
    measurement: 'kernel',
    ...isolatedOf(hardware),
  };
}

/** Modules were timed one by one; what engines do otherwise depends on the device. */
function isolatedOf(hardware: string): Pick<ProfileInfo, 'isolated'> {
  const device = findDevice(hardware);
  if (device === undefined) return {};
  return {
    isolated: {
      launchNs: device.launch_ns,
      bandwidthGBps: device.memory_bandwidth_gb_s,
      packsQueryHeads: device.packs_query_heads,
    },
  };
}

function importTp(
  directory: string,
  names: ProfileNames,
  degrees: readonly number[],
): ProfileTable {
  const builder = new ProfileTableBuilder();
  const notes: string[] = [];
  const floor = floorOf(names);
  for (const tp of degrees) {
    const folder = join(directory, `tp${tp}`);
    const layers = findFile(join(folder, 'layers.csv'));
    if (layers === undefined) throw new UserError('no layers.csv here', { at: folder });
    notes.push(...readV0Layers(new CsvTable(readText(layers), layers), tp, builder));
    const attention = findFile(join(folder, 'attention.csv'));
    if (attention === undefined) {
      notes.push(`TP ${tp}: attention was not measured`);
      continue;
    }
    const counts: FloorCount = { decodeRows: 0, raised: 0 };
    readAttentionRows(new CsvTable(readText(attention), attention), tp, builder, floor, counts);
    if (counts.raised > 0) {
      notes.push(
        `TP ${tp}: ${counts.raised} of ${counts.decodeRows} decode rows were faster than the ` +
          'memory can deliver their KV cache and were raised to that time',
      );
    }
  }
  return builder.build({ ...baseInfo(names), notes });
}

function floorOf(names: ProfileNames): KvFloor | undefined {
  const device = findDevice(names.hardware);
  if (device === undefined) return undefined;
  return {
    bandwidthBytesPerNs: attentionBandwidthBytesPerNs(device),
    bytesPerElement: 2,
  };
}
