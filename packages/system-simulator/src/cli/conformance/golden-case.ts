/** One line of `cases.jsonl.gz`: what was given to the real ASTRA-sim and what it answered. */
import { UserError } from '@astrolabe/base';
import { z } from 'zod';

const fixedSchema = z.looseObject({ outcome: z.string(), finish_ns: z.string().optional() });

const expectSchema = z.looseObject({
  outcome: z.string(),
  message: z.string().optional(),
  finish_ns: z.string().optional(),
  exposed_ns: z.string().optional(),
  wall_ns: z.string().optional(),
  comm_ns: z.string().optional(),
  gpu_ns: z.string().optional(),
  overlap_ns: z.string().optional(),
  defects_fixed: fixedSchema.optional(),
});

export const goldenCaseSchema = z.looseObject({
  id: z.string(),
  table: z.string(),
  backend: z.enum(['congestion-unaware', 'congestion-aware']),
  network: z.looseObject({}),
  system: z.looseObject({}),
  workload: z.string(),
  spmd: z.boolean(),
  flags: z.union([z.array(z.string()), z.string()]).optional(),
  groups: z.looseObject({}).optional(),
  remote: z.looseObject({}).optional(),
  expect: expectSchema,
});

export type GoldenCase = z.infer<typeof goldenCaseSchema>;

/**
 * A run-length coded list: `4136*2;;5` is two NPUs at 4136, one without a figure, one at 5; `*3` is
 * three without.
 */
export function decodeList(text: string, at: string): (string | undefined)[] {
  const values: (string | undefined)[] = [];
  for (const part of text.split(';')) {
    const match = /^(\d*)(?:\*(\d+))?$/.exec(part);
    if (match === null) throw new UserError(`"${part}" is no figure`, { at });
    const value = match[1] === '' ? undefined : match[1];
    for (let i = Number(match[2] ?? 1); i > 0; i--) values.push(value);
  }
  return values;
}

export function encodeList(values: readonly (string | undefined)[]): string {
  const parts: string[] = [];
  for (let i = 0; i < values.length; ) {
    let end = i;
    while (end < values.length && values[end] === values[i]) end++;
    const value = values[i] ?? '';
    parts.push(end - i === 1 ? value : `${value}*${end - i}`);
    i = end;
  }
  return parts.join(';');
}
