/** Measured communication times of a profile table, per collective and group. */
import { mergePoints, UserError } from '@astrolabe/base';
import { SizeCurve } from '@astrolabe/config';
import { type ProfileTable, rowKinds } from './profile-table.js';

export interface CollectiveCurve {
  readonly operator: string;
  readonly workers: number;
  /** -1: not said. */
  readonly devicesPerNode: number;
  readonly curve: SizeCurve;
}

export class CollectiveTable {
  readonly curves: readonly CollectiveCurve[];

  constructor(table: ProfileTable) {
    const points = new Map<string, { key: [string, number, number]; list: [number, number][] }>();
    const kind = rowKinds.indexOf('collective');
    for (let i = 0; i < table.length; i++) {
      if (table.kind[i] !== kind) continue;
      const key: [string, number, number] = [
        table.operators[table.operator[i]],
        table.keys.sequences[i],
        // Of machines with room for more than the group, it fills one: so many a node it has.
        Math.min(table.keys.devicesPerNode[i], table.keys.sequences[i]),
      ];
      const curve = points.get(key.join(' ')) ?? { key, list: [] };
      curve.list.push([table.keys.sizeBytes[i], table.values.durationNs[i]]);
      points.set(key.join(' '), curve);
    }
    this.curves = [...points.values()].map(({ key: [operator, workers, devicesPerNode], list }) => {
      const merged = mergePoints(list);
      const sizes = merged.map((point) => point[0]);
      const times = merged.map((point) => point[1]);
      return { operator, workers, devicesPerNode, curve: new SizeCurve(sizes, times) };
    });
  }

  /**
   * @param devicesPerNode of the group; measurements of another placement do not count
   * @returns integer ns. @throws UserError not measured
   */
  timeNs(operator: string, workers: number, devicesPerNode: number, sizeBytes: number): number {
    const found = this.curves.find(
      (c) =>
        c.operator === operator &&
        c.workers === workers &&
        (c.devicesPerNode === devicesPerNode || c.devicesPerNode < 0),
    );
    if (found !== undefined) return found.curve.timeNs(sizeBytes);
    const there = this.curves.map(
      (c) => `${c.operator} of ${c.workers}, ${c.devicesPerNode} a node`,
    );
    throw new UserError(`no measured ${operator} of ${workers}, ${devicesPerNode} a node`, {
      hint: `there is ${there.join('; ')}`,
    });
  }
}
