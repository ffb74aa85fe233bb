/**
 * The shipped examples: ring, direct and halving-doubling all-reduce of 1 MB at 2 to 64 NPUs, each from
 * its files, against closed forms. Four chunks one after another, endpoint delay 10 ns.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { allRepairs } from '../astra/repairs.js';
import { astraReport } from '../astra/report.js';
import { runAstra } from '../astra/run.js';
import { defaultOptions } from './astra-files.test-helper.js';
import { type AstraFiles, readAstraInputs } from './astra-inputs.js';

const folder = fileURLToPath(new URL('../../../../cluster_config/astra/', import.meta.url));
const chunk = 2 ** 20 / 4;
const beta = (50 * 2 ** 30) / 1e9;

const hop = (hops: number, sizeBytes: number): number => Math.trunc(hops * 500 + sizeBytes / beta);
const reduce = (sizeBytes: number): number => 3 * Math.trunc((sizeBytes / 1600e9) * 1e9);

/** On a fully connected network: every message is one hop. */
const closedForms: Record<string, (n: number) => number> = {
  ring: (n) => (2 * n - 1) * 10 + 2 * (n - 1) * hop(1, chunk / n) + (n - 1) * reduce(chunk / n),
  direct: (n) => 30 + 2 * hop(1, chunk / n) + reduce(chunk / n),
  halvingDoubling: (n) => {
    const levels = Math.log2(n);
    let time = (2 * levels + 1) * 10;
    for (let k = 1; k <= levels; k++) time += 2 * hop(1, chunk / 2 ** k);
    for (let k = 2; k <= levels; k++) time += reduce(chunk / 2 ** k);
    return time;
  },
};

function files(system: string, network: string, more: Partial<AstraFiles> = {}): AstraFiles {
  return {
    workload: `${folder}all_reduce_1MB`,
    system: `${folder}${system}.json`,
    network: `${folder}${network}.yml`,
    remoteMemory: `${folder}no_memory.json`,
    ...defaultOptions,
    repairs: allRepairs(false),
    ...more,
  };
}

describe.each(Object.keys(closedForms))('%s', (how) => {
  test.each([2, 4, 8, 16, 32, 64])('%i NPUs', (n) => {
    const simulation = runAstra(readAstraInputs(files(how, `FullyConnected_${n}`)));
    const times = simulation.results().map(({ finishNs }) => finishNs);
    expect(times).toEqual(new Array<number>(n).fill(4 * closedForms[how](n)));
    for (const shape of ['Ring', 'Switch']) {
      for (const backend of ['congestion-unaware', 'congestion-aware'] as const) {
        const other = runAstra(readAstraInputs(files(how, `${shape}_${n}`, { backend })));
        expect(other.unfinished(), `${shape} ${backend}`).toEqual([]);
      }
    }
  });
});

test("ASTRA-sim's lines", () => {
  const inputs = readAstraInputs(files('ring', 'Ring_2', { mode: 'compat' }));
  expect(astraReport(runAstra(inputs), inputs.system).split('\n').slice(0, 5)).toEqual([
    '[1970-01-01 00:00:00.000] [workload] [info] sys[0] finished, 24620 cycles, exposed communication 24620 cycles.',
    '[1970-01-01 00:00:00.000] [statistics] [info] sys[0]. Post statistics processing start.',
    '[1970-01-01 00:00:00.000] [statistics] [info] sys[0]. Post statistics processing end.',
    '[1970-01-01 00:00:00.000] [statistics] [info] sys[0], Wall time: 24620',
    '[1970-01-01 00:00:00.000] [statistics] [info] sys[0], Comm time: 24620',
  ]);
});
