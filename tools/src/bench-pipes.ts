/**
 * How long one iteration takes over pipes: iteration line out, graph stream between the stages,
 * completion line back. By hand, after a build: `node tools/dist/bench-pipes.js`.
 */
import { fileURLToPath } from 'node:url';
import { FrameWatcher, PipeBackend } from '@astrolabe/serving-loop/cli';

const warmUp = 200;
const rounds = 2000;
const gapNs = 20_000_000;

const root = new URL('../../', import.meta.url);
const path = (name: string): string => fileURLToPath(new URL(name, root));
const stage = (name: string) => ({
  words: [
    process.execPath,
    path(`packages/${name}/bin/${name}.js`),
    '--cluster-config',
    path('cluster_config/rtxpro6000.json'),
  ],
  foreign: false,
});

const backend = new PipeBackend({
  generator: stage('trace-generator'),
  simulator: stage('system-simulator'),
  timeoutMs: 60_000,
  watcher: new FrameWatcher(),
});
const times: number[] = [];
for (let i = 0; i < warmUp + rounds; i++) {
  const releaseNs = i * gapNs;
  const before = performance.now();
  backend.submit({
    instance: 0,
    iteration: i,
    releaseNs,
    requests: [0, 1, 2, 3],
    newTokens: [1, 1, 1, 1],
    contextTokens: [100, 200, 300, 400],
  });
  await backend.next(releaseNs + gapNs - 1);
  times.push(performance.now() - before);
}
await backend.close();
const sorted = times.slice(warmUp).sort((a, b) => a - b);
const at = (share: number): string => sorted[Math.floor(share * (rounds - 1))].toFixed(3);
process.stdout.write(`ms per iteration: p10 ${at(0.1)}, p50 ${at(0.5)}, p99 ${at(0.99)}\n`);
