/**
 * The simulator's command beside the real ASTRA-sim's times: runs the cases of `timing.csv` (a folder
 * with it and `timing_workloads/`), start-up included, and prints wall time, user time and memory of
 * both. Run by hand after a build: `node tools/dist/bench-system-simulator.js DIR [NAME]`.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(
  new URL('../../packages/system-simulator/bin/system-simulator.js', import.meta.url),
);

/** Makes the command tell its user time and peak memory when it ends. */
const usageHook = `data:text/javascript,${encodeURIComponent(
  `process.on('exit', () => {
    const usage = process.resourceUsage();
    const user = (usage.userCPUTime / 1e6).toFixed(2);
    process.stderr.write('user ' + user + ' s, rss ' + Math.round(usage.maxRSS / 1024) + ' MB\\n');
  });`,
)}`;

interface Row {
  readonly name: string;
  readonly backend: string;
  readonly topology: string;
  readonly counts: string;
  readonly numNpus: number;
  readonly bandwidth: string;
  readonly latency: string;
  readonly workload: string;
  readonly spmd: boolean;
  readonly system: string;
  readonly wallS: number;
  readonly rssMb: number;
  readonly finishNs: number;
}

/** Fields of a CSV line; quoted ones may hold commas and doubled quotes. */
function fields(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain,
  );
}

function readRows(folder: string): Row[] {
  const [head, ...lines] = readFileSync(join(folder, 'timing.csv'), 'utf8').trim().split('\n');
  const names = fields(head);
  return lines.map((line) => {
    const values = fields(line);
    const get = (name: string): string => values[names.indexOf(name)];
    return {
      name: get('name'),
      backend: get('backend'),
      topology: get('topology'),
      counts: get('npus_count'),
      numNpus: Number(get('n_npus')),
      bandwidth: get('bandwidth_GBps'),
      latency: get('latency_ns'),
      workload: get('workload'),
      spmd: get('spmd') === '1',
      system: get('sys_json'),
      wallS: Number(get('wall_s')),
      rssMb: Number(get('rss_MB')),
      finishNs: Number(get('finish_max')),
    };
  });
}

/** Cases that the real binary was not timed on. */
function larger(rows: readonly Row[]): Row[] {
  const ring = rows.find(({ name }) => name === 'ar100MB_ring_Ring_1024') as Row;
  return ['unaware', 'aware'].map((backend) => ({
    ...ring,
    name: 'ar100MB_ring_Ring_4096',
    backend,
    counts: '4096',
    numNpus: 4096,
    wallS: Number.NaN,
    rssMb: Number.NaN,
    finishNs: Number.NaN,
  }));
}

function run(row: Row, folder: string, extra: readonly string[]): string {
  const work = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const list = (text: string): string => `[${text.replaceAll('|', ', ')}]`;
    writeFileSync(
      join(work, 'network.yml'),
      `topology: ${list(row.topology)}\nnpus_count: ${list(row.counts)}\n` +
        `bandwidth: ${list(row.bandwidth)}\nlatency: ${list(row.latency)}\n`,
    );
    writeFileSync(join(work, 'system.json'), row.system);
    writeFileSync(join(work, 'memory.json'), '{"memory-type": "NO_MEMORY_EXPANSION"}');
    const workloads = join(folder, 'timing_workloads');
    for (let npu = 0; npu < row.numNpus; npu++) {
      const own = join(workloads, `${row.workload}.${npu}.et`);
      const source = row.spmd || !existsSync(own) ? join(workloads, `${row.workload}.et`) : own;
      copyFileSync(source, join(work, `w.${npu}.et`));
    }
    const started = process.hrtime.bigint();
    const done = spawnSync(
      process.execPath,
      [
        '--import',
        usageHook,
        command,
        `--workload-configuration=${join(work, 'w')}`,
        `--system-configuration=${join(work, 'system.json')}`,
        `--network-configuration=${join(work, 'network.yml')}`,
        `--remote-memory-configuration=${join(work, 'memory.json')}`,
        `--backend=congestion-${row.backend}`,
        '--format=ndjson',
        ...extra,
      ],
      { encoding: 'utf8', maxBuffer: 1 << 28 },
    );
    const wallS = Number(process.hrtime.bigint() - started) / 1e9;
    return report(row, done.stdout, done.stderr, wallS);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function report(row: Row, stdout: string, stderr: string, wallS: number): string {
  const ends = stdout
    .trim()
    .split('\n')
    .map((line) => Number((JSON.parse(line || '{}') as { finishNs?: number }).finishNs));
  const finishNs = ends.reduce((most, end) => Math.max(most, end), 0);
  const user = /user ([\d.]+) s/.exec(stderr)?.[1] ?? '?';
  const rss = /rss (\d+) MB/.exec(stderr)?.[1] ?? '?';
  const equal = Number.isNaN(row.finishNs) ? '' : finishNs === row.finishNs ? 'equal' : 'DIFFERS';
  return [
    row.name.padEnd(24),
    row.backend.padEnd(8),
    String(row.numNpus).padStart(5),
    row.wallS.toFixed(2).padStart(7),
    wallS.toFixed(2).padStart(7),
    user.padStart(7),
    (wallS / row.wallS).toFixed(2).padStart(6),
    String(row.rssMb).padStart(6),
    rss.padStart(6),
    ` ${equal || finishNs}`,
  ].join(' ');
}

const [folder, only, ...extra] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('usage: bench-system-simulator DIR [NAME] [FLAG...]\n');
  process.exitCode = 2;
} else {
  process.stdout.write(
    'case                     backend   npus  real s  ours s  user s  ratio realMB oursMB finish\n',
  );
  const rows = readRows(folder);
  for (const row of [...rows, ...larger(rows)]) {
    if (only !== undefined && only !== '' && !row.name.includes(only)) continue;
    process.stdout.write(`${run(row, folder, extra)}\n`);
  }
}
