/** Input errors name their place and help with the spelling. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { UserError } from './errors.js';
import { parseWith } from './parse.js';

const schema = z.strictObject({
  nodes: z.array(z.strictObject({ npu_num: z.number().int().positive() })),
});

function failure(value: unknown): UserError {
  try {
    parseWith(schema, value, 'a.json');
  } catch (error) {
    return error as UserError;
  }
  throw new Error('did not fail');
}

describe('parseWith', () => {
  it('returns what is valid', () => {
    expect(parseWith(schema, { nodes: [{ npu_num: 2 }] }, 'a.json').nodes[0].npu_num).toBe(2);
  });

  it('names file and JSON path, what was expected and what came', () => {
    const error = failure({ nodes: [{ npu_num: '4' }] });
    expect(error).toBeInstanceOf(UserError);
    expect(error.message).toBe('a.json: nodes[0].npu_num: expected number, received string');
  });

  it('says what a key that is not known may have been meant as', () => {
    const device = z.strictObject({
      nodes: z.array(z.strictObject({ tp_size: z.number(), gb_s: z.number(), gib: z.number() })),
    });
    const hint = (node: object): string | undefined => {
      try {
        parseWith(device, { nodes: [node] }, 'd');
      } catch (error) {
        return (error as UserError).hint;
      }
      throw new Error('did not fail');
    };
    expect(hint({ tp_size: 1, gbps: 2, gib: 3 })).toBe('there is "gbps", which is no known key');
    expect(hint({ tp_size: 1 })).toBe('missing, too: nodes[0].gib');
    expect(hint({ tp_size: 1, gib: 3 })).toBeUndefined();
    expect(hint({ tp_size: 1, gb_s: 2, gib: 3, tp: 4 })).toBe('did you mean "tp_size"?');
    expect(hint({ tp_size: 1, gb_s: 2, gib: 3, tenants: 4 })).toMatch(
      /^known keys: tp_size, gb_s, gib$/,
    );
    expect(hint({ tp_size: 1, gb_s: '2' })).toBeUndefined();
  });

  it('asks for an integer in words', () => {
    expect(failure({ nodes: [{ npu_num: 1.5 }] }).message).toBe(
      'a.json: nodes[0].npu_num: expected an integer, got 1.5',
    );
  });

  it('says what a missing value, a choice and a union expect', () => {
    const loose = z.object({
      bandwidth: z.union([z.number(), z.array(z.number())]),
      count: z.coerce.number(),
      mode: z.enum(['on', 'off']),
    });
    const message = (value: unknown): string => {
      try {
        parseWith(loose, value, 'b');
      } catch (error) {
        return (error as Error).message;
      }
      return 'did not fail';
    };
    const good = { bandwidth: 1, count: 1, mode: 'on' };
    expect(message(good)).toBe('did not fail');
    expect(message({ ...good, bandwidth: undefined })).toBe(
      'b: bandwidth: missing, expected number or array',
    );
    expect(message({ ...good, bandwidth: null })).toBe(
      'b: bandwidth: expected number or array, got null',
    );
    expect(message({ ...good, count: 'x' })).toBe('b: count: expected number, got "x"');
    expect(message({ ...good, count: undefined })).toBe('b: count: missing, expected number');
    expect(message({ ...good, mode: undefined })).toBe(
      'b: mode: missing, expected one of "on"|"off"',
    );
    expect(message(undefined)).toBe('b: missing, expected object');
  });

  it('suggests the nearest key', () => {
    const error = failure({ nodes: [{ npu_num: 1, npu_nmu: 2 }] });
    expect(error.message).toBe('a.json: nodes[0]: unknown key "npu_nmu"');
    expect(error.hint).toBe('did you mean "npu_num"?');
  });
});
