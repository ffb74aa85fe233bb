/**
 * How fast and in how much memory `profiler-ingest import` reads a PyTorch profiler trace. Run by hand:
 * `npx tsc -b && node tools/dist/bench-kineto.js [MB]`, by default 1000. The trace is made up as a
 * profiler writes it: of each operator call the Python frame, aten::linear within aten::addmm with
 * shapes and stacks, the launch and the kernel, 16 operators of 8 sizes.
 */
import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const wantedBytes = Number(process.argv[2] ?? 1000) * 1e6;
const cli = join(import.meta.dirname, '../../packages/profiler-ingest/bin/profiler-ingest.js');
/** The importing process says at its end how large it became. */
const tellSize =
  'data:text/javascript,process.on("exit",()=>process.stderr.write("maxRSS "+process.resourceUsage().maxRSS+"\\n"))';

function event(cat: string, name: string, ts: number, dur: number, args: object): string {
  return JSON.stringify({ ph: 'X', cat, name, pid: 4711, tid: 4711, ts, dur, args });
}

/** Events of one operator call, 10 us after the one before. */
function call(id: number): string {
  const ts = 5_000_000 + id * 10;
  const tokens = 2 ** (id % 8);
  const width = 1024 * (1 + (id % 16));
  const shapes = {
    'External id': id,
    'Sequence number': id,
    'Fwd thread id': 0,
    'Record function id': id,
    'Concrete Inputs': ['', '', ''],
    'Input type': ['c10::BFloat16', 'c10::BFloat16', ''],
    'Ev Idx': id,
  };
  const linear = { ...shapes, 'Input Dims': [[tokens, 4096], [width, 4096], []] };
  const addmm = { ...shapes, 'Input Dims': [[width], [tokens, 4096], [4096, width]] };
  const kernel = {
    'External id': id,
    device: 0,
    context: 1,
    stream: 7,
    correlation: id,
    'registers per thread': 168,
    'shared memory': 98304,
    'blocks per SM': 1.5,
    'warps per SM': 6,
    grid: [64, 2, 1],
    block: [128, 1, 1],
    'est. achieved occupancy %': 12,
  };
  return [
    event('python_function', 'torch/nn/modules/linear.py(124): forward', ts, 9, {
      'Python parent id': id,
      'Python id': id,
      'Ev Idx': id,
    }),
    event('cpu_op', 'aten::linear', ts + 1, 8, linear),
    event('cpu_op', 'aten::addmm', ts + 2, 6, addmm),
    event('cuda_runtime', 'cudaLaunchKernel', ts + 3, 2, { correlation: id, cbid: 211 }),
    event(
      'kernel',
      `ampere_bf16_s16816gemm_bf16_128x64_ldg8_tn_${id % 4}`,
      ts + 6,
      3 + (id % 8),
      kernel,
    ),
  ].join(',\n');
}

function* trace(): Generator<string> {
  yield '{"schemaVersion":1,"deviceProperties":[{"id":0,"name":"Example GPU"}],"traceEvents":[\n';
  let bytes = 0;
  for (let id = 0; bytes < wantedBytes; id++) {
    const events = call(id);
    bytes += events.length;
    yield id === 0 ? events : `,\n${events}`;
  }
  yield '\n]}\n';
}

const folder = mkdtempSync(join(tmpdir(), 'bench-kineto-'));
try {
  const file = join(folder, 'trace.json');
  await pipeline(Readable.from(trace()), createWriteStream(file));
  const begin = performance.now();
  const args = ['import', file, '--hardware', 'X', '--model', 'm', '-o', join(folder, 'out.arrow')];
  const child = spawn(process.execPath, ['--import', tellSize, cli, ...args], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += String(text);
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  const seconds = (performance.now() - begin) / 1000;
  const rssMB = (Number(/maxRSS (\d+)/.exec(stderr)?.[1] ?? 0) * 1024) / 1e6;
  const sizeMB = statSync(file).size / 1e6;
  process.stdout.write(stderr.replace(/maxRSS \d+\n/, ''));
  process.stdout.write(
    `${sizeMB.toFixed(0)} MB in ${seconds.toFixed(1)} s, ${rssMB.toFixed(0)} MB resident, exit ${code}\n`,
  );
} finally {
  rmSync(folder, { recursive: true });
}
