/** `--summary`: where the time of a run went, by NPU, link and memory device, for people. */
import type { Counters } from '../counters.js';

/** Rows of a table; of more NPUs or links the busiest are shown. */
const maxRows = 16;

interface NpuShares {
  readonly npu: number;
  readonly computeNs: number;
  readonly commNs: number;
  readonly memoryNs: number;
  readonly idleNs: number;
  readonly sentBytes: number;
}

/** Text of some lines; shares are of the time of the last event. */
export function summaryText(counters: Counters): string {
  const { nowNs } = counters;
  const npus = counters.npus.map((npu) => sharesOf(npu, nowNs));
  return [
    `ended at ${nowNs} ns`,
    ...npuTable(npus, nowNs),
    ...busyTable('link', counters.links, nowNs),
    ...(counters.links.length === 0
      ? ['links: none modelled without congestion; --backend congestion-aware shows them']
      : []),
    ...busyTable('memory', counters.memory.map(memoryRow), nowNs),
    meanLine(npus, nowNs),
    '',
  ].join('\n');
}

/** Lanes run side by side, so that their sum may be more than the time there was. */
function sharesOf(npu: Counters['npus'][number], nowNs: number): NpuShares {
  const { computeNs, exposedCommNs: commNs, exposedMemoryNs: memoryNs, sentBytes } = npu;
  const idleNs = Math.max(0, nowNs - computeNs - commNs - memoryNs);
  return { npu: npu.npu, computeNs, commNs, memoryNs, idleNs, sentBytes };
}

function npuTable(npus: readonly NpuShares[], nowNs: number): string[] {
  const shown =
    npus.length <= maxRows
      ? npus
      : npus.toSorted((a, b) => a.idleNs - b.idleNs || a.npu - b.npu).slice(0, maxRows);
  const rows = shown.map(({ npu, computeNs, commNs, memoryNs, idleNs, sentBytes }) => [
    String(npu),
    ...[computeNs, commNs, memoryNs, idleNs].map((ns) => share(ns, nowNs)),
    bytes(sentBytes),
  ]);
  const head = ['NPU', 'compute', 'exposed comm', 'exposed memory', 'idle', 'sent'];
  return [...table([head, ...rows]), ...more(npus.length, 'NPUs')];
}

interface BusyRow {
  readonly name: string;
  readonly bytes: number;
  readonly busyNs: number;
  readonly messages: number;
}

function memoryRow({ tier, device, channel, ...row }: Counters['memory'][number]): BusyRow {
  const name = `${tier} ${device}${channel === undefined ? '' : ` channel ${channel}`}`;
  return { name, bytes: row.bytes, busyNs: row.busyNs, messages: row.accesses };
}

function busyTable(what: 'link' | 'memory', all: readonly BusyRow[], nowNs: number): string[] {
  if (all.length === 0) return [];
  const used = all.filter((row) => row.messages > 0);
  const busiest = used.toSorted((a, b) => b.busyNs - a.busyNs).slice(0, maxRows);
  const head = [what, 'busy', 'bytes', what === 'link' ? 'messages' : 'accesses'];
  const rows = busiest.map((row) => [
    row.name,
    share(row.busyNs, nowNs),
    bytes(row.bytes),
    String(row.messages),
  ]);
  return [...table([head, ...rows]), ...more(used.length, what === 'link' ? 'links' : 'devices')];
}

function more(count: number, what: string): string[] {
  return count > maxRows ? [`and ${count - maxRows} ${what} less busy`] : [];
}

/** Largest share first. */
function meanLine(npus: readonly NpuShares[], nowNs: number): string {
  const mean = (pick: (npu: NpuShares) => number): number =>
    npus.reduce((sum, npu) => sum + pick(npu), 0) / npus.length;
  const parts: [string, number][] = [
    ['compute', mean(({ computeNs }) => computeNs)],
    ['exposed communication', mean(({ commNs }) => commNs)],
    ['exposed memory access', mean(({ memoryNs }) => memoryNs)],
    ['idle', mean(({ idleNs }) => idleNs)],
  ];
  const largest = parts.filter(([, ns]) => ns > 0).sort(([, a], [, b]) => b - a);
  return `mean of all NPUs: ${largest.map(([name, ns]) => `${name} ${share(ns, nowNs)}`).join(', ')}`;
}

/** Columns as wide as their widest cell, the first to the left. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, c) => Math.max(...rows.map((row) => row[c].length)));
  return rows.map((row) =>
    row
      .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c])))
      .join('  ')
      .trimEnd(),
  );
}

function share(ns: number, ofNs: number): string {
  return ofNs === 0 ? '0.0%' : `${((100 * ns) / ofNs).toFixed(1)}%`;
}

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** With units of 1000. */
function bytes(count: number): string {
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${byteUnits[unit]}`;
}
