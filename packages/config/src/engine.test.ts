/** What decides an engine option: the device, then the instance, then the command line. */
import { describe, expect, it } from 'vitest';
import { deviceEngine, type EngineOverrides, resolveEngine } from './engine.js';

describe('batch padding', () => {
  const paddingOf = (hardware: string, ...layers: readonly EngineOverrides[]) =>
    resolveEngine('bfloat16', deviceEngine(hardware), ...layers).batchPadding;

  it('is by buckets on TPUs and by captured sizes elsewhere', () => {
    expect(['TPU-v6e-1', 'tpu_v5e', 'H100', 'MyTPU'].map((name) => paddingOf(name))).toEqual([
      'buckets',
      'buckets',
      'cuda-graphs',
      'cuda-graphs',
    ]);
  });

  it('is what the instance says, and the command line before it', () => {
    expect(paddingOf('TPU-v6e-1', { batch_padding: 'none' })).toBe('none');
    expect(paddingOf('H100', { batch_padding: 'none' }, { batch_padding: 'buckets' })).toBe(
      'buckets',
    );
  });
});
