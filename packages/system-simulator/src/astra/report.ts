/**
 * ASTRA-sim's lines on stdout: per NPU, in order of finishing, the cycles and the statistics. The time
 * stamp in front of each line is fixed, so that the same input gives the same bytes.
 */
import type { AstraSystem } from '@astrolabe/config';
import { rowOf, Slot } from '../feeder/program.js';
import type { Run } from '../feeder/run.js';
import { figuresOf } from './figures.js';
import { formatBytes } from './local-memory.js';
import type { NpuResult } from './npu-result.js';
import type { AstraSimulation } from './simulation.js';

const stamp = '[1970-01-01 00:00:00.000]';

function line(logger: string, level: string, message: string): string {
  return `${stamp} [${logger}] [${level}] ${message}\n`;
}

export function astraReport(simulation: AstraSimulation, system: AstraSystem): string {
  let text = '';
  for (const { run, result } of simulation.finishedResults()) {
    text += npuReport(run, result, system);
    const own = simulation.localMemory.get(result.npu);
    if (own !== undefined) {
      const peak = formatBytes(own.peakBytes());
      text += line('workload', 'info', `sys[${result.npu}] peak memory usage: ${peak}`);
    }
  }
  for (const run of simulation.unfinished()) text += unreleased(run);
  return text + line('system', 'warning', 'Exiting');
}

function npuReport(run: Run, result: NpuResult, system: AstraSystem): string {
  const { npu } = result;
  const { finish, exposed, wall, comm, gpu, overlap } = figuresOf(result);
  const statistics = (message: string): string => line('statistics', 'info', message);
  let text = line(
    'workload',
    'info',
    `sys[${npu}] finished, ${finish} cycles, exposed communication ${exposed} cycles.`,
  );
  text += statistics(`sys[${npu}]. Post statistics processing start.`);
  if (!result.hasStatistics) return text;
  text += statistics(`sys[${npu}]. Post statistics processing end.`);
  const figure = (name: string, value: string | undefined): string =>
    value === undefined ? '' : statistics(`sys[${npu}], ${name}: ${value}`);
  text += figure('Wall time', wall);
  text += figure('Comm time', comm);
  text += figure('GPU time', gpu);
  text += figure('Total compute-communication overlap', overlap);
  if (system.roofline && gpu !== undefined) {
    for (const [name, value] of rooflineFigures(run, system)) text += figure(name, value);
  }
  return text;
}

/** Averages over compute nodes, weighted by their time (denominator 1 + total, as there). */
function rooflineFigures(run: Run, system: AstraSystem): [string, string][] {
  const { program } = run;
  const bytesPerSecond = system.localMemoryBandwidthGBps * 1e9;
  const peak = system.peakTflops * 1e12;
  let total = 1;
  let bound = 0;
  let compute = 0;
  let memory = 0;
  let intensity = 0;
  for (let node = 0; node < program.nodeCount; node++) {
    if (program.stat[node] !== 1) continue;
    const row = rowOf(program, node);
    const oi = program.graph.numOps[row] / program.graph.tensorSizeBytes[row];
    const performance = Math.min(bytesPerSecond * oi, peak);
    const duration = program.durationNs[node];
    total += duration;
    if (performance >= peak) bound += duration;
    compute += (performance / peak) * duration;
    memory += (performance / oi / bytesPerSecond) * duration;
    intensity += oi * duration;
  }
  const percent = (value: number): string => `${((value / total) * 100).toFixed(3)}%`;
  return [
    ['Compute bound percentage', percent(bound)],
    ['Average compute utilization', percent(compute)],
    ['Average memory utilization', percent(memory)],
    ['Average operation intensity', (intensity / total).toFixed(3)],
  ];
}

function unreleased(run: Run): string {
  const names = ['CPU node id', 'GPU comp node id', 'GPU comm node id'];
  const held = names.flatMap((name, slot) =>
    slot < Slot.none && run.busy[slot]
      ? [`${name}: ${run.program.graph.id[rowOf(run.program, run.holder[slot])]}`]
      : [],
  );
  if (held.length === 0) return '';
  const title = `!!!Hardware Resource sys.id=${run.npu} has unreleased nodes!!!`;
  return [title, ...held].map((text) => line('HardwareResource', 'critical', text)).join('');
}
