/**
 * Leave one case out: cases of single requests, each predicted without what was fitted on its own
 * device. Constants are per device, so there are three ways to do without: leave them out, with or
 * without the wait for the longest decodes that the profile measured, or take over another device's step
 * overhead and front-end delay. A host's warm-up is no fit and stays; without constants the host model has
 * its start values and decodes wait, as for any device without a calibration.
 */
import { resolve } from 'node:path';
import { type Calibration, hostStepSchema, outputPathSchema } from '@astrolabe/config';
import { loadCalibration, loadCluster } from '@astrolabe/config/cli';
import { formatError } from '../../format-comparison.js';
import type { Case } from '../../validate/manifest.js';
import { type RunCaseOptions, runCase } from './run-case.js';

const metrics = ['tpotMean', 'latencyMean', 'makespan', 'ttftMean', 'unqueuedTtftMean'] as const;

/** @returns a Markdown table */
export async function leaveOneOut(
  cases: readonly Case[],
  options: RunCaseOptions,
): Promise<string> {
  const measured = cases.filter(({ real }) => real?.kind === 'vllm-requests');
  const hardwareOf = (given: Case): string =>
    loadCluster(resolve(options.folder, given.clusterConfig)).instances[0].hardware;
  const devices = [...new Set(measured.map(hardwareOf))];
  const calibration = loadCalibration(options.calibration);
  const lines = [
    `| predicted | constants of | ${metrics.join(' | ')} |`,
    `| --- | --- | ${metrics.map(() => '---:').join(' | ')} |`,
  ];
  for (const given of measured) {
    const own = hardwareOf(given);
    const others = devices.filter((name) => name !== own);
    for (const [label, from, terms] of [
      ['nobody', undefined, {}],
      ['nobody, without the wait for the longest decodes', undefined, { decodeTail: false }],
      ...others.map((name) => [name, name, {}] as const),
    ] as const) {
      const changed = withConstantsOf(calibration, own, from);
      const { result } = await runCase(given, { ...options, terms, calibration: changed });
      const errors = metrics.map((name) => {
        const row = result.rows.find(({ metric }) => metric === name);
        return formatError(row?.errorPct ?? null);
      });
      lines.push(`| ${[given.id, label, ...errors].join(' | ')} |`);
    }
  }
  return lines.join('\n');
}

function withConstantsOf(given: Calibration, own: string, from: string | undefined): Calibration {
  const other = from === undefined ? undefined : given.devices[from];
  return {
    ...given,
    devices: {
      ...given.devices,
      [own]: {
        source: 'leave one out',
        step_overhead_ns: other?.step_overhead_ns ?? 0,
        front_end_delay_ns: other?.front_end_delay_ns ?? 0,
        warm_up_ns: given.devices[own]?.warm_up_ns ?? 0,
        decode_tail: other === undefined || other.decode_tail === true,
        ...(other === undefined && {
          host_step: hostStepSchema.parse({}),
          output_path: outputPathSchema.parse({}),
        }),
      },
    },
  };
}
