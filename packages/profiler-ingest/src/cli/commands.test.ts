/** Goal: what the commands make of names and types as they are typed. Method: the commands, on small files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCommand, readBytes, Verdict } from '@astrolabe/base/cli';
import { rowsOf } from '@astrolabe/profile';
import { decodeProfile } from '@astrolabe/profile/arrow';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { addCheckingCommands } from './commands-check.js';
import { addDerivingCommands } from './commands-derive.js';
import { addReadingCommands } from './commands-read.js';

const llama = 'meta-llama/Llama-3.1-8B';
let folder = '';
let printed = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'astrolabe-commands-'));
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

async function run(...words: string[]): Promise<void> {
  const program = makeCommand('profiler-ingest', '', []);
  addReadingCommands(program);
  addDerivingCommands(program);
  addCheckingCommands(program);
  await program.parseAsync(words, { from: 'user' });
}

const read = (path: string) => decodeProfile(readBytes(path), path);

test('a dtype may be called as in a cluster file', async () => {
  const path = join(folder, 'h100.arrow');
  await run('roofline', '--device', 'H100', '--model', llama, '--dtype', 'bfloat16', '-o', path);
  expect(read(path).info.dtype).toBe('bf16');
});

test('a degree that was not measured is said, beside all operators that it lacks', async () => {
  const path = join(folder, 'h100.arrow');
  await run('roofline', '--device', 'H100', '--model', llama, '--tp', '1,2', '-o', path);
  await expect(run('check', path, '--model', llama, '--tp', '4')).rejects.toThrow(Verdict);
  expect(printed).toContain('TP degrees         1, 2, not 4');
});

test("GEMMs are named by the model's sizes, of a shipped model by its name alone", async () => {
  const event = (cat: string, name: string, args: object, pid = 1) => ({
    ...{ ph: 'X', cat, name, pid, tid: 1, ts: 2, dur: 3, args },
  });
  const traceEvents = [
    event('cpu_op', 'aten::mm', {
      'Input Dims': [
        [8, 4096],
        [4096, 28_672],
      ],
    }),
    event('cuda_runtime', 'cudaLaunchKernel', { correlation: 7 }),
    event('kernel', 'gemm', { correlation: 7 }, 0),
  ];
  const trace = join(folder, 'trace.json');
  writeFileSync(trace, JSON.stringify({ traceEvents }));
  const path = join(folder, 'trace.arrow');
  for (const [model, operator] of [
    [llama, 'gate_up_proj'],
    [`cluster_config/models/${llama}.json`, 'gate_up_proj'],
    ['nobody/knows', 'gemm_4096_28672'],
  ]) {
    await run('import', trace, '--hardware', 'G', '--model', model, '-o', path);
    expect([...rowsOf(read(path))]).toMatchObject([{ operator, tokens: 8, durationNs: 3000 }]);
    expect(read(path).info.model).toBe(model.replace(/^cluster_config\/models\/|\.json$/g, ''));
  }
  const two = run('import', trace, trace, '--hardware', 'G', '--model', llama);
  await expect(two).rejects.toMatchObject({
    hint: expect.stringMatching(/ranks' traces import one/),
  });
});
