/**
 * Measured communication times, per collective and group: linear in size between measured sizes, so
 * small messages keep their own regime, and the bandwidth of the upper half beyond the largest.
 */
import { UserError } from '@astrolabe/base';
import { interpolate, mergePoints, upperSlope } from './operator-line.js';
import { type ProfileTable, rowKinds } from './profile-table.js';

interface SizeCurve {
  readonly operator: string;
  readonly workers: number;
  readonly devicesPerNode: number;
  readonly sizesBytes: Float64Array;
  readonly timesNs: Float64Array;
}

export class CollectiveTable {
  readonly curves: readonly SizeCurve[];

  constructor(table: ProfileTable) {
    const points = new Map<string, { key: [string, number, number]; list: [number, number][] }>();
    const kind = rowKinds.indexOf('collective');
    for (let i = 0; i < table.length; i++) {
      if (table.kind[i] !== kind) continue;
      const key: [string, number, number] = [
        table.operators[table.operator[i]],
        table.keys.sequences[i],
        table.keys.devicesPerNode[i],
      ];
      const curve = points.get(key.join(' ')) ?? { key, list: [] };
      curve.list.push([table.keys.sizeBytes[i], table.values.durationNs[i]]);
      points.set(key.join(' '), curve);
    }
    this.curves = [...points.values()].map(({ key: [operator, workers, devicesPerNode], list }) => {
      const merged = mergePoints(list);
      return {
        operator,
        workers,
        devicesPerNode,
        sizesBytes: Float64Array.from(merged, (point) => point[0]),
        timesNs: Float64Array.from(merged, (point) => point[1]),
      };
    });
  }

  /**
   * @param devicesPerNode of the group; measurements of another placement do not count
   * @returns integer ns. @throws UserError not measured
   */
  timeNs(operator: string, workers: number, devicesPerNode: number, sizeBytes: number): number {
    const curve = this.curves.find(
      (c) =>
        c.operator === operator &&
        c.workers === workers &&
        (c.devicesPerNode === devicesPerNode || c.devicesPerNode < 0),
    );
    if (curve === undefined) {
      const there = this.curves.map(
        (c) => `${c.operator} of ${c.workers}, ${c.devicesPerNode} a node`,
      );
      throw new UserError(`no measured ${operator} of ${workers}, ${devicesPerNode} a node`, {
        hint: `there is ${there.join('; ')}`,
      });
    }
    const { sizesBytes, timesNs } = curve;
    const last = sizesBytes.length - 1;
    const beyond = Math.max(0, sizeBytes - sizesBytes[last]);
    const timeNs = interpolate(sizesBytes, timesNs, sizeBytes);
    return Math.max(1, Math.round(timeNs + beyond * upperSlope(sizesBytes, timesNs)));
  }
}
