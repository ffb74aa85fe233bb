/** The trust card as lines for people. */
import type { MeasurementKind } from '@astrolabe/profile';
import type { MeasuredLinksUse } from './communication-count.js';
import type { Binding } from './saturation.js';
import { type ForeignStages, noHostTime, type TrustCard, worthSaying } from './trust-card.js';

/** Of the labels before the text. */
const labelWidth = 14;
/** Characters of a command. */
const longestCommand = 120;

/** The line that a run in overload begins with; undefined otherwise. */
export function overloadLine({ overloaded, load }: TrustCard): string | undefined {
  if (!overloaded) return undefined;
  const rate =
    load === null
      ? 'all requests came at once'
      : `requests came ${load.toFixed(1)} times as fast as they were served`;
  return `OVERLOAD: ${rate}; waiting grew to the end, so latencies measure the backlog`;
}

/** What the card says, apart from the words that it files it under; a text goes on under none. */
export function trustCardRows(card: TrustCard): (readonly [label: string, text: string])[] {
  return formatTrustCard(card)
    .slice(2)
    .map((line) => [line.slice(0, labelWidth).trim(), line.slice(labelWidth)]);
}

/** Lines for people. */
export function formatTrustCard(card: TrustCard): string[] {
  const lines = [
    '',
    'trust card',
    ...basisLines(card),
    ...(card.profiles ?? []).map(
      ({ hardware, model, dtype, measurement, engine, caution, source }) =>
        `profile       ${hardware}, ${model}, ${dtype}: ` +
        `${caution === undefined ? measurementText[measurement] : `not measured; ${caution}`}` +
        `${engine === undefined ? '' : ` in ${engine}`} (${source})`,
    ),
    `lookups       ${lookupsText(card)}`,
    `saturation    ${Object.entries(card.saturation)
      .map(([name, binds]) => `${name}: ${bindingText[binds]}`)
      .join('; ')}`,
    `load          ${loadText(card.load)}`,
  ];
  for (const { node, hardware, capW, activeW, computeSlowdown } of card.powerCaps ?? []) {
    lines.push(
      `power cap     node ${node}, ${hardware}: ${capW} W of ${activeW} W at full clock; compute up ` +
        `to ${percent(computeSlowdown - 1)} slower, by a model that is not measured`,
    );
  }
  if (card.intervals90 !== null) {
    const { intervals90 } = card;
    const shown = Object.entries(intervals90.metrics).map(([name, [low, high]]) => {
      const [label, unit] = intervalText[name] ?? [name, ''];
      return `${label} ${figure(low)} to ${figure(high)} ${unit}`.trimEnd();
    });
    if (shown.length > 0) lines.push(`90 % of means ${shown.join(', ')}`);
  }
  if (card.measuredLinks !== null) lines.push(...measuredLinksLines(card.measuredLinks));
  if (card.assumedLinksShare >= worthSaying) {
    lines.push(
      `links         ${percent(card.assumedLinksShare)} of devices' busy time is communication alone, ` +
        'over links as the cluster file assumes them',
    );
  }
  if (card.assumedTiersShare !== undefined) {
    lines.push(
      `memory        ${percent(card.assumedTiersShare)} of devices' busy time is waiting for memory below ` +
        'them, as fast as the cluster file assumes it',
    );
  }
  for (const text of card.assumed ?? []) lines.push(`assumed       ${text}`);
  for (const text of card.workload) lines.push(`workload      ${text}`);
  if (card.workload.length === 0) lines.push('workload      nothing odd');
  return [...lines, ...metricLines(card)];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

function basisLines(card: TrustCard): string[] {
  const { foreignStages = {}, switched = [], constantsElsewhere = [] } = card;
  const unknown = 'how good they are is not known here';
  const lines = (['traceGenerator', 'systemSimulator'] as const).flatMap((stage) => {
    const command = foreignStages[stage];
    if (command === undefined) return [];
    const what = `${foreignText[stage]} come from another program, ${shortened(command)}`;
    return [`basis         ${what}: ${unknown}`];
  });
  if (lines.length === 0) lines.push(`basis         ${basisText(card)}`);
  for (const use of constantsElsewhere) {
    lines.push(
      `constants     ${use}${card.intervals90 === null ? '' : '; wider intervals for it'}`,
    );
  }
  if (switched.length === 0) return lines;
  return [
    ...lines,
    `switched      ${switched.join(', ')}: known errors and intervals are of runs without that`,
  ];
}

function basisText({ basis, switched = [] }: TrustCard): string {
  if (basis === 'fitted') {
    return 'every device has constants of a real run (fitted, above); operators as in the profile';
  }
  const host = switched.includes(noHostTime) ? 'the host takes no time' : 'host with start values';
  if (basis === 'partly fitted') {
    return (
      'some devices have constants of a real run (fitted, above), for the others ' +
      `${host}; operators as in the profiles`
    );
  }
  const error =
    switched.length > 0
      ? ''
      : '; expect TPOT within 4 % with the profile of a GPU measured in an engine, more with others';
  return `nothing fitted: operators as in the profile, ${host}${error}`;
}

function lookupsText({ extrapolatedShare, foreignStages }: TrustCard): string {
  if (foreignStages?.traceGenerator !== undefined) return 'not said';
  if (extrapolatedShare === null) return 'not counted';
  return `${percent(extrapolatedShare)} outside the measured range (extrapolated or nearest)`;
}

function loadText(load: number | null): string {
  if (load === null) return 'not told: most requests came at once';
  return `requests came at ${load.toFixed(2)} times the rate at which they were served`;
}

/** By who asks: the client's times, then the service's. */
function metricLines({ metrics }: TrustCard): string[] {
  const texts = Object.entries(metrics).map(
    ([name, text]) => `${name.length < 5 ? name.toUpperCase() : name} = ${text}`,
  );
  const half = Math.ceil(texts.length / 2);
  return [
    `metrics       ${texts.slice(0, half).join('; ')}`,
    `${' '.repeat(labelWidth)}${texts.slice(half).join('; ')}`,
  ];
}

function shortened(command: string): string {
  const text = command.replace(/\s+/g, ' ');
  return text.length > longestCommand ? `${text.slice(0, longestCommand - 3)}...` : text;
}

function measuredLinksLines(use: MeasuredLinksUse): string[] {
  const { communications, exposedShare, errorPct } = use;
  const lines = use.tables.map((table) => `links         measured, ${table}`);
  if (communications === null) {
    return [...lines, 'links         the system simulator does not say what it timed by them'];
  }
  const { measured, beyond, simulated } = communications;
  const share = measured === 0 ? '' : ` (${((100 * beyond) / measured).toFixed(2)} %)`;
  const error =
    errorPct === null
      ? 'how exact the table is it does not say'
      : `90 % of the table's times within ${errorPct} %`;
  return [
    ...lines,
    `links         ${measured} collectives and messages timed by the table, ${beyond} of them` +
      `${share} beyond its sizes (extrapolated); ${simulated} by the network model`,
    `links         ${(100 * exposedShare).toFixed(1)} % of devices' busy time is communication alone; ${error}`,
  ];
}

const foreignText: Record<keyof ForeignStages, string> = {
  traceGenerator: 'operator times',
  systemSimulator: 'step times',
};

/** Errors are those of docs/profiler-ingest.md. */
const measurementText: Record<MeasurementKind, string> = {
  kernel: 'measured, kernel times',
  cuda_event: 'measured between device events, launch gaps included',
  wall_clock: "measured by the host's clock",
  predicted: "another tool's prediction",
  simulated: 'simulated by another tool',
  roofline: 'not measured: from a data sheet; where it could be checked TPOT came out 15 % too low',
  derived: 'not measured: scaled from another profile; TPOT came out 8 % too low where checked',
  unknown: 'of unknown origin',
};

/** Names and units of the means that have intervals. */
const intervalText: Readonly<Record<string, readonly [label: string, unit: string]>> = {
  ttftMeanMs: ['TTFT', 'ms'],
  tpotMeanMs: ['TPOT', 'ms'],
  itlMeanMs: ['ITL', 'ms'],
  latencyMeanMs: ['latency', 'ms'],
  makespanS: ['makespan', 's'],
  outputTokensPerS: ['output', 'tokens/s'],
};

const bindingText: Record<Binding, string> = {
  kv: 'KV-bound',
  seats: 'bound by seats (max_num_seqs)',
  budget: 'compute-bound (token budget)',
  links: 'bound by links between devices',
  bandwidth: 'bound by memory bandwidth',
  compute: 'compute-bound',
  none: 'not saturated',
};

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
