/** Goal: the command's files are ready to run, and refusals come before anything is written. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeCommand, writeFileWhole } from '@astrolabe/base/cli';
import { memoryBudget } from '@astrolabe/config';
import { loadCluster } from '@astrolabe/config/cli';
import { countLookups, type ProfileTable, ProfileTableBuilder } from '@astrolabe/profile';
import { encodeProfile } from '@astrolabe/profile/arrow';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { addClusterCommand } from './commands-cluster.js';
import { openProfiles } from './open-profiles.js';

/** As one would type it, from here. */
const config = (name: string): string =>
  relative(
    process.cwd(),
    fileURLToPath(new URL(`../../../../cluster_config/models/${name}`, import.meta.url)),
  );

let folder = '';
let notes = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'astrolabe-cluster-'));
  notes = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    notes += String(text);
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

async function run(...words: string[]): Promise<string> {
  const program = makeCommand('profiler-ingest', '', []);
  addClusterCommand(program);
  const output = join(folder, 'files/cluster.json');
  await program.parseAsync(['cluster', ...words, '-o', output], { from: 'user' });
  return output;
}

const llama = 'meta-llama/Llama-3.1-70B';

test('the engine finds room in what was written, and the profile it needs', async () => {
  const profiles = join(folder, 'profiles');
  const path = await run('H200:tp=4', '--model', llama, '--rooflines', profiles);
  const [instance] = loadCluster(path).instances;
  expect(memoryBudget(instance).numBlocks).toBeGreaterThan(10_000);
  const model = (await openProfiles(profiles)).latencyModel(
    'H200',
    instance.model.name,
    'bfloat16',
  );
  expect(model.tpDegrees).toEqual([1, 2, 4, 8, 16]);
  expect(model.measurement).toBe('roofline');
  expect(notes).toMatch(/^profiler-ingest: note: link_bw 419: NVLink 4 of H200, 450 GB/);
});

test('a roofline that is known to be far off says so when it is made, and to whoever looks it up', async () => {
  const profiles = join(folder, 'profiles');
  await run('TPU-v6e:tp=4', '--model', 'meta-llama/Llama-3.1-8B', '--rooflines', profiles);
  expect(notes).toMatch(/note: TPU-v6e: a roofline of a TPU, not to be compared with/);
  const model = (await openProfiles(profiles)).latencyModel('TPU-v6e', 'Llama-3.1-8B');
  expect(countLookups([model]).profiles[0].caution).toMatch(/129 % too slow/);
});

test('a path of a config: found from the cluster file, and by its profile', async () => {
  const profiles = join(folder, 'profiles');
  const words = ['H100:tp=2', '--model', config('meta-llama/Llama-3.1-8B.json'), '--dtype', 'fp8'];
  const [instance] = loadCluster(await run(...words, '--rooflines', profiles)).instances;
  expect(instance.engine.dtype).toBe('fp8');
  const opened = await openProfiles(profiles);
  const model = opened.latencyModel('H100', instance.model.name, 'fp8');
  expect(model.model).toBe('meta-llama/Llama-3.1-8B');
});

test('a model that does not fit is refused with figures, and with the degree that is enough', async () => {
  const refused = run('A100:tp=1', '--model', llama, '--rooflines', join(folder, 'profiles'));
  await expect(refused).rejects.toThrow(
    /^A100:tp=1: .*Llama-3.1-70B does not fit on A100: weights 131\.\d+ GiB .* in 72.00 GiB/,
  );
  await expect(refused).rejects.toMatchObject({ hint: 'it does at tp=2' });
  expect(readdirSync(folder)).toEqual([]);
  // Experts over twice the ranks are half the weights of each.
  const mixtral = run('RTX4090:tp=2', '--model', 'mistralai/Mixtral-8x7B-v0.1');
  await expect(mixtral).rejects.toMatchObject({ hint: 'it does at tp=8' });
});

test('what cannot be: a model nobody knows, degrees, a peak that the device lacks', async () => {
  await expect(run('H200', '--model', 'meta/Lama')).rejects.toThrow(/^--model: model "meta\/Lama"/);
  await expect(run('H200:tp=3', '--model', llama)).rejects.toThrow(/tp 3 does not divide/);
  await expect(run('H200:tp=2:ep=2', '--model', llama)).rejects.toThrow(
    /^H200:tp=2:ep=2: ep: .*Llama-3.1-70B has no experts$/,
  );
  const fp8 = ['A100:tp=4', '--model', llama, '--dtype', 'fp8', '--rooflines', folder];
  await expect(run(...fp8)).rejects.toThrow('A100 has no fp8 peak');
  expect(readdirSync(folder)).toEqual([]);
});

function measured(): ProfileTable {
  const builder = new ProfileTableBuilder();
  builder.add({ kind: 'dense', operator: 'o_proj', tp: 1, tokens: 1, durationNs: 1 });
  const info = { hardware: 'H200', model: llama, dtype: 'bf16', source: 'made up' };
  return builder.build({ ...info, measurement: 'kernel' });
}

test('rooflines are renewed, measured profiles stay', async () => {
  const words = ['H200:tp=4', '--model', llama, '--rooflines', folder];
  const path = join(folder, 'H200', llama, 'bf16.arrow');
  await run(...words);
  const first = readFileSync(path);
  await run(...words);
  expect(readFileSync(path).equals(first)).toBe(true);
  writeFileWhole(path, encodeProfile(measured()));
  rmSync(join(folder, 'files'), { recursive: true });
  await expect(run(...words)).rejects.toThrow(/bf16.arrow: there is a profile of H200 that is no/);
  expect(existsSync(join(folder, 'files'))).toBe(false);
});
