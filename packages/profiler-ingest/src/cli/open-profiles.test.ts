/** Goal: profiles by name. Method: the real bundles, and messages about what is not there. */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openProfiles } from './open-profiles.js';

const bundles = new URL('../../../../../shared/refdata/llmservingsim/v1/profiles', import.meta.url)
  .pathname;

describe.skipIf(!existsSync(bundles))('raw v1 bundles (needs ../shared)', async () => {
  const profiles = existsSync(bundles) ? await openProfiles(bundles) : undefined;
  const model = profiles?.latencyModel('RTXPRO6000', 'meta-llama/Llama-3.1-8B', 'bfloat16');

  test('spot values are the measured ones', () => {
    expect(model?.denseNs('act_fn', 1, 1)).toBe(2677);
    expect(model?.perSequenceNs('lm_head', 1, 1)).toBe(714006);
    expect(model?.tpDegrees).toEqual([1, 2]);
  });

  test('unknown names say what there is', () => {
    const ask = (hardware: string, name: string, dtype?: string) => () =>
      profiles?.latencyModel(hardware, name, dtype);
    expect(ask('RTX490', 'x')).toThrow(/no profile for hardware "RTX490"/);
    expect(ask('RTX490', 'x')).toThrow(
      expect.objectContaining({
        hint: expect.stringMatching(
          /^did you mean "RTX4090"\? there is .*; profiler-ingest roofline/,
        ),
      }),
    );
    expect(ask('RTX4090', 'Llama-3.1-70B')).toThrow(/no profile for model "Llama-3.1-70B"/);
    expect(ask('RTX4090', 'Llama-3.1-8B', 'fp8')).toThrow(/no profile for dtype "fp8"/);
  });
});

test('a missing directory is named', async () => {
  await expect(openProfiles('/nonexistent/profiles')).rejects.toThrow(/no such directory/);
});
