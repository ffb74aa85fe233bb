/** Goal: bundle tables become rows in ns, damage is named. Method: a few lines of each table. */
import { ProfileTableBuilder, rowsOf } from '@astrolabe/profile';
import { expect, test } from 'vitest';
import { CsvTable } from './csv.js';
import { readV1Table, type V1Table, v1Info } from './llmservingsim-v1.js';

function read(name: V1Table, text: string) {
  const builder = new ProfileTableBuilder();
  readV1Table(name, new CsvTable(text, `${name}.csv`), 2, builder);
  return [
    ...rowsOf(
      builder.build({ hardware: 'G', model: 'm', dtype: 'b', source: '', measurement: 'kernel' }),
    ),
  ];
}

test('each table, times in integer ns', () => {
  expect(read('dense', 'layer,tokens,time_us\nact_fn,1,2.67733\n')).toEqual([
    { kind: 'dense', operator: 'act_fn', tp: 2, tokens: 1, durationNs: 2677 },
  ]);
  expect(read('moe', 'tokens,activated_experts,time_us\r\n4,8,0\r\n')).toEqual([
    { kind: 'moe', operator: 'moe', tp: 2, tokens: 4, activatedExperts: 8, durationNs: 1 },
  ]);
  const attention = 'prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n16,32,4,64,8.5\n';
  expect(read('attention', attention)[0]).toMatchObject({
    tokens: 16,
    contextTokens: 32,
    sequences: 4,
    decodeContextTokens: 64,
    durationNs: 8500,
  });
});

test.each([
  ['layer,time_us\na,1\n', /^dense\.csv:1: column "tokens" is missing/],
  ['layer,tokens,time_us\na,1,x\n', /^dense\.csv:2: time_us: expected a number, got "x"/],
  ['layer,tokens,time_us\na,1,1\na,1.5,1\n', /^dense\.csv:3: tokens: expected an integer >= 0/],
  ['layer,tokens,time_us\na,1,1\na,2\n', /^dense\.csv:3: expected 3 fields, got 2/],
  ['layer,tokens,time_us\na,1,-1\n', /^dense\.csv:2: time_us: negative duration/],
  [
    'layer,tokens,time_us\na,1,1e300\n',
    /^dense\.csv:2: time_us: 1e\+303 ns, expected at most 2\^53/,
  ],
  ['layer,tokens,time_us\n', /^dense\.csv: no rows after the header/],
  ['', /^dense\.csv: empty file/],
])('damage is named: %j', (text, message) => {
  expect(() => read('dense', text)).toThrow(message);
});

test('provenance from meta.yaml', () => {
  const names = { hardware: 'G', model: 'm', dtype: 'bf16' };
  const meta = 'vllm_version: 0.19.0\ngpu: Some GPU\nengine_effective: {max_num_seqs: 256}\n';
  expect(v1Info(names, meta, 'meta.yaml')).toMatchObject({
    engine: 'vLLM 0.19.0 eager',
    device: 'Some GPU',
    maxSequences: 256,
    measurement: 'kernel',
  });
  expect(() => v1Info(names, 'gpu: a\n  b: [', 'meta.yaml')).toThrow(
    /^meta\.yaml: not valid YAML: .+$/,
  );
});

test('where attention splits contexts follows from processors and the heads of a whole device', () => {
  const names = { hardware: 'RTXPRO6000', model: 'example', dtype: 'bf16' };
  const meta = 'tp_degrees: [1, 2]\nengine_effective: {hf_overrides: {num_key_value_heads: 4}}\n';
  // 1.6 x 188 processors over 8 heads.
  expect(v1Info(names, meta, 'meta.yaml', 188).splitsBelow).toBeCloseTo(37.6, 9);
  expect(v1Info(names, meta, 'meta.yaml').splitsBelow).toBeUndefined();
  expect(v1Info(names, 'tp_degrees: [1]', 'meta.yaml', 188).splitsBelow).toBeUndefined();
});
