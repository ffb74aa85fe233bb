/** Runs one case of a manifest through the serving loop and judges it. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { UserError } from '@astrolabe/base';
import type { Calibration, EngineOverrides } from '@astrolabe/config';
import { type Served, type ServingOptions, serve } from '@astrolabe/serving-loop/cli';
import type { TermSwitches } from '@astrolabe/trace-generator';
import { simulatedRows } from '../../calibrate/simulated-rows.js';
import type { Chart } from '../../html/chart.js';
import { type RequestRow, type RunData, requestKey } from '../../run-data.js';
import { caseOptions } from '../../validate/engine-options.js';
import { runFigures } from '../../validate/figures.js';
import type { Case } from '../../validate/manifest.js';
import { peerErrors } from '../../validate/peer-errors.js';
import { type CaseResult, caseStatus, judge } from '../../validate/verdict.js';
import { readLlmServingSimCsv } from '../read-simulated.js';
import { caseCharts } from './case-charts.js';
import { simulatedIntervalS } from './log-clock.js';
import {
  type MeasuredFigures,
  type MeasuredSeries,
  readReal,
  readSeries,
} from './read-measured.js';
import { runCounts, seriesErrors } from './series-errors.js';

export interface RunCaseOptions {
  /** Folder of the manifest. */
  readonly folder: string;
  /** A file, `none`, or undefined for the shipped one; or itself. */
  readonly calibration: string | Calibration | undefined;
  /** Use these profiles instead of the case's. */
  readonly profiles: string | undefined;
  /** Terms to switch, to measure what they do. */
  readonly terms?: TermSwitches | undefined;
  /** Engine options that win over the case's. */
  readonly engine?: EngineOverrides | undefined;
}

export interface CaseRun {
  readonly result: CaseResult;
  /** Measured against simulated; empty when the case could not run. */
  readonly charts: readonly Chart[];
}

/** @throws UserError when a file of the case is missing or broken */
export async function runCase(given: Case, options: RunCaseOptions): Promise<CaseRun> {
  const result = { id: given.id, role: given.role ?? '' };
  const engine = caseOptions(given.engine);
  if (engine.unsupported.length > 0) {
    const notes = [`engine options ${engine.unsupported.join(', ')}`];
    return { result: { ...result, status: 'unsupported', notes, rows: [] }, charts: [] };
  }
  const { folder } = options;
  for (const path of [given.profiles, given.workload, given.clusterConfig]) {
    const full = resolve(folder, path);
    if (!existsSync(full)) throw new UserError('no such file', { at: full });
  }
  const series = given.realSeries === undefined ? undefined : readSeries(given.realSeries, folder);
  let served: Served;
  try {
    served = await serve(servingOptions(given, engine, options, series));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const notes = [error.message];
    return { result: { ...result, status: 'unsupported', notes, rows: [] }, charts: [] };
  }
  const real = given.real === undefined ? { figures: {} } : await readReal(given.real, folder);
  const verdict = judged(given, served, folder, series, real);
  const charts = caseCharts(series, real.run, runData(served), served);
  return { result: { ...result, ...verdict }, charts };
}

function servingOptions(
  given: Case,
  engine: ReturnType<typeof caseOptions>,
  options: RunCaseOptions,
  series: MeasuredSeries | undefined,
): ServingOptions {
  const { folder } = options;
  return {
    clusterConfig: resolve(folder, given.clusterConfig),
    workload: resolve(folder, given.workload),
    profiles: options.profiles ?? resolve(folder, given.profiles),
    flags: { ...generationFlags(given), ...engine.flags, ...options.engine },
    terms: options.terms,
    kvTiers: engine.kvTiers,
    memoryUtilization: engine.memoryUtilization,
    deviceMemoryBytes: engine.deviceMemoryBytes,
    routing: engine.routing,
    seed: 0,
    intervalS: simulatedIntervalS(series),
    calibration: options.calibration,
    summaryFormat: 'json',
    quiet: true,
  };
}

/**
 * The paper's runs (v0 profiles) are of 2025: before vLLM scheduled asynchronously by default, and
 * with its then default of seats for an API server where the case says nothing.
 */
function generationFlags(given: Case): EngineOverrides {
  if (given.profileFormat !== 'llmservingsim-v0') return {};
  return { async_scheduling: false, max_num_seqs: 256 };
}

function judged(
  given: Case,
  served: Served,
  folder: string,
  series: MeasuredSeries | undefined,
  real: MeasuredFigures,
): Pick<CaseResult, 'status' | 'notes' | 'rows'> {
  const run = runData(served);
  const unqueuedOf = (rows: readonly RequestRow[]): RequestRow[] | undefined =>
    real.unqueued === undefined
      ? undefined
      : rows.filter((row) => real.unqueued?.has(requestKey(row.id)));
  const peer = given.peer === undefined ? undefined : readPeer(given.peer, folder);
  const rows = judge(given, {
    real: real.figures,
    ours: runFigures(run, unqueuedOf(run.rows)),
    peer: peer === undefined ? {} : runFigures(peer, unqueuedOf(peer.rows)),
    peerErrors: peerErrors[given.id] ?? {},
    seriesErrors: seriesErrors(series, real.run, run, served),
    counts: runCounts(served),
    intervals90: intervalsOf(served),
  });
  const notes = [...(real.run?.notes ?? []), ...served.summary.fitted.map((f) => `fitted: ${f}`)];
  const { finished, total } = served.summary.requests;
  if (finished < total) notes.push(`only ${finished} of ${total} requests finished`);
  const status = finished < total ? 'failed' : caseStatus(rows);
  if (status === 'unsupported')
    notes.unshift(`limits on ${Object.keys(given.limitsPct).join(', ')}`);
  return { status, notes, rows };
}

function runData(served: Served): RunData {
  const blocks = new Set(served.summary.instances.map((instance) => instance.kvBlocks));
  const { intervals, intervalNs } = served.run.series;
  return {
    source: 'simulated',
    rows: simulatedRows(served.results),
    totalRequests: served.results.length,
    series: {
      intervalNs,
      promptTokens: intervals.map((interval) => interval.promptTokens),
      outputTokens: intervals.map((interval) => interval.outputTokens),
    },
    kvBlocks: blocks.size === 1 ? [...blocks][0] : undefined,
    notes: [],
  };
}

function readPeer(peer: NonNullable<Case['peer']>, folder: string): RunData | undefined {
  if (peer.kind !== 'llmservingsim-csv') return undefined;
  return readLlmServingSimCsv(resolve(folder, peer.path));
}

/** Under the manifest's names. */
function intervalsOf({ summary }: Served): Record<string, readonly [number, number]> {
  const known = summary.trust.intervals90?.metrics ?? {};
  const names = {
    ttftMean: 'ttftMeanMs',
    tpotMean: 'tpotMeanMs',
    itlMean: 'itlMeanMs',
    latencyMean: 'latencyMeanMs',
    makespan: 'makespanS',
    throughput: 'outputTokensPerS',
  };
  return Object.fromEntries(
    Object.entries(names).flatMap(([ours, name]) => (name in known ? [[ours, known[name]]] : [])),
  );
}
