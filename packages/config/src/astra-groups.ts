/** ASTRA-sim's communicator groups (JSON): group id to NPU ids, in ring order. */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';

const astraGroupsSchema = z
  .record(z.string(), z.array(z.number().int().nonnegative()).min(1))
  .describe('ASTRA-sim communicator groups: {"1": [0, 1, 2, 3]}');

/** @throws UserError naming the group. @returns members by group id */
export function parseAstraGroups(value: unknown, at: string): Map<number, readonly number[]> {
  const groups = new Map<number, readonly number[]>();
  for (const [name, members] of Object.entries(parseWith(astraGroupsSchema, value, at))) {
    const id = Number.parseInt(name, 10);
    if (!Number.isInteger(id) || id <= 0) {
      throw new UserError('a group id must be an integer > 0 (0 means all NPUs)', {
        at: `${at}: "${name}"`,
      });
    }
    groups.set(id, members);
  }
  return groups;
}
