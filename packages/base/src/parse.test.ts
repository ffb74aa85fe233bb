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

  it('suggests the nearest key', () => {
    const error = failure({ nodes: [{ npu_num: 1, npu_nmu: 2 }] });
    expect(error.message).toBe('a.json: nodes[0]: unknown key "npu_nmu"');
    expect(error.hint).toBe('did you mean "npu_num"?');
  });
});
