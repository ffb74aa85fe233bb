/** Goal: profiles by name. Method: the real bundles, and messages about what is not there. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

test("a profile of the KV cache's type is preferred, where there is one", async () => {
  const shipped = new URL('../../../../profiles', import.meta.url).pathname;
  const folder = mkdtempSync(join(tmpdir(), 'profiles-'));
  const model = 'RTX4090/meta-llama/Llama-3.1-8B';
  try {
    const given = JSON.parse(readFileSync(join(shipped, model, 'bf16.json'), 'utf8'));
    mkdirSync(join(folder, model), { recursive: true });
    const write = (name: string, dtype: string): void => {
      const json = { ...given, info: { ...given.info, dtype } };
      writeFileSync(join(folder, model, `${name}.json`), JSON.stringify(json));
    };
    write('bf16', 'bf16');
    write('bf16-kvfp8', 'bf16-kvfp8');
    write('bf16-kvint8', 'bf16');
    const profiles = await openProfiles(folder);
    const of = (kvDtype?: string) =>
      profiles.latencyModel('RTX4090', 'Llama-3.1-8B', 'bfloat16', kvDtype);
    expect(of('fp8').dtype).toBe('bf16-kvfp8');
    expect(of('bfloat16')).toBe(of());
    expect(of('float32')).toBe(of());
    expect(() => of('int8')).toThrow('bf16-kvint8.json: is of dtype "bf16"');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a file is of the dtype that its name says, short or as in a cluster file', async () => {
  const shipped = new URL('../../../../profiles', import.meta.url).pathname;
  const folder = mkdtempSync(join(tmpdir(), 'profiles-'));
  const model = 'RTX4090/meta-llama/Llama-3.1-8B';
  try {
    const given = readFileSync(join(shipped, model, 'bf16.json'), 'utf8');
    mkdirSync(join(folder, model), { recursive: true });
    for (const name of ['bfloat16', 'fp8'])
      writeFileSync(join(folder, model, `${name}.json`), given);
    const profiles = await openProfiles(folder);
    expect(profiles.latencyModel('RTX4090', 'Llama-3.1-8B', 'bfloat16').dtype).toBe('bf16');
    expect(() => profiles.latencyModel('RTX4090', 'Llama-3.1-8B', 'fp8')).toThrow(
      'fp8.json: is of dtype "bf16", which its name does not say: "fp8"',
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
