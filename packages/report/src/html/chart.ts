/** Line charts as SVG text: axes with round ticks, a legend, no script. Colours come from the page. */

export interface Line {
  readonly name: string;
  readonly xs: readonly number[];
  readonly ys: readonly number[];
  /** Class of its colour, 1 to 4; a second of the same colour is dashed. */
  readonly colour: number;
  readonly dashed?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly Line[];
  /** Lines hold each value until the next. */
  readonly steps?: boolean;
}

const size = { width: 520, height: 260, left: 62, right: 20, top: 12, bottom: 40 };
/** More points than pixels show nothing more. */
const maxPoints = 1000;

export function escapeHtml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => entities[character]);
}

/** Empty text when no line has a point. */
export function renderChart(chart: Chart): string {
  const lines = withPoints(chart);
  if (lines.length === 0) return '';
  const label = escapeHtml(chart.title);
  return [
    `<figure><figcaption>${label}</figcaption>`,
    `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${label}">`,
    ...plot(chart, lines),
    '</svg>',
    legend(lines),
    '</figure>',
  ].join('\n');
}

const rowHeight = 18;
const standaloneStyle =
  'text{font:11px system-ui,sans-serif;fill:#5b6472}.title{font-size:13px;font-weight:600;fill:#1d2127}' +
  '.line{fill:none;stroke-width:1.6}.dashed{stroke-dasharray:5 3}.grid{stroke:#d9dde3}' +
  '.c1{stroke:#2563b0}.c2{stroke:#c2571a}.c3{stroke:#2d7d46}.c4{stroke:#7a4bb0}';

/** The charts below one another as a file of its own, on white; empty text without any point. */
export function renderSvg(charts: readonly Chart[]): string {
  const parts: string[] = [];
  let top = 0;
  for (const chart of charts) {
    const lines = withPoints(chart);
    if (lines.length === 0) continue;
    const keys = lines.map((line, i) => {
      const dash = line.dashed === true ? ' dashed' : '';
      const at = top + 2 * rowHeight + size.height + i * rowHeight;
      return (
        `<path class="line c${line.colour}${dash}" d="M${size.left},${at - 4}h22"/>` +
        `<text x="${size.left + 28}" y="${at}">${escapeHtml(line.name)}</text>`
      );
    });
    parts.push(
      `<text class="title" x="12" y="${top + rowHeight}">${escapeHtml(chart.title)}</text>`,
      `<g transform="translate(0 ${top + rowHeight + 6})">`,
      ...plot(chart, lines),
      '</g>',
      ...keys,
    );
    top += 3 * rowHeight + size.height + lines.length * rowHeight;
  }
  if (parts.length === 0) return '';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${top}" ` +
      `width="${size.width}" height="${top}" role="img">`,
    `<style>${standaloneStyle}</style>`,
    `<rect width="${size.width}" height="${top}" fill="#fff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function withPoints(chart: Chart): Line[] {
  return chart.lines.filter((line) => line.xs.length > 0);
}

function plot(chart: Chart, lines: readonly Line[]): string[] {
  const xTicks = ticks(extreme(lines, 'xs', Math.min), extreme(lines, 'xs', Math.max));
  const yTicks = ticks(0, extreme(lines, 'ys', Math.max));
  const x = scale(xTicks, size.left, size.width - size.right);
  const y = scale(yTicks, size.height - size.bottom, size.top);
  const paths = lines.map((line) => {
    const dash = line.dashed === true ? ' dashed' : '';
    const name = escapeHtml(line.name);
    const d = path(line, x, y, chart.steps === true);
    return `<path class="line c${line.colour}${dash}" d="${d}"><title>${name}</title></path>`;
  });
  return [...axes(chart, xTicks, yTicks, x, y), ...paths];
}

type Scale = (value: number) => number;

function extreme(
  lines: readonly Line[],
  axis: 'xs' | 'ys',
  pick: (a: number, b: number) => number,
): number {
  return lines.reduce(
    (found, line) => line[axis].reduce((a, b) => pick(a, b), found),
    lines[0][axis][0],
  );
}

/** Round numbers that cover [low, high], about five of them. */
export function ticks(low: number, high: number): number[] {
  const span = high > low ? high - low : Math.abs(high) || 1;
  const rough = span / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? power * 10;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil((high > low ? high : low + span) / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}

function scale(range: readonly number[], from: number, to: number): Scale {
  const low = range[0];
  const high = range[range.length - 1];
  return (value) => from + ((value - low) / (high - low)) * (to - from);
}

function path(line: Line, x: Scale, y: Scale, steps: boolean): string {
  const stride = Math.ceil(line.xs.length / maxPoints);
  const parts: string[] = [];
  for (let i = 0; i < line.xs.length; i += stride) {
    const at = `${round(x(line.xs[i]))},${round(y(line.ys[i]))}`;
    if (parts.length === 0) parts.push(`M${at}`);
    else parts.push(steps ? `H${round(x(line.xs[i]))}V${round(y(line.ys[i]))}` : `L${at}`);
  }
  return parts.join('');
}

function round(value: number): string {
  return Number(value.toFixed(1)).toString();
}

function axes(
  chart: Chart,
  xTicks: readonly number[],
  yTicks: readonly number[],
  x: Scale,
  y: Scale,
): string[] {
  const bottom = size.height - size.bottom;
  const right = size.width - size.right;
  return [
    ...yTicks.map((value) => {
      const at = round(y(value));
      return (
        `<line class="grid" x1="${size.left}" x2="${right}" y1="${at}" y2="${at}"/>` +
        `<text class="tick" x="${size.left - 6}" y="${at}" dy="0.35em" text-anchor="end">${label(value)}</text>`
      );
    }),
    ...xTicks.map(
      (value) =>
        `<text class="tick" x="${round(x(value))}" y="${bottom + 16}" text-anchor="middle">${label(value)}</text>`,
    ),
    `<text class="axis" x="${(size.left + right) / 2}" y="${size.height - 6}" text-anchor="middle">${escapeHtml(chart.xLabel)}</text>`,
    `<text class="axis" transform="translate(12 ${(size.top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeHtml(chart.yLabel)}</text>`,
  ];
}

function label(value: number): string {
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
  if (Math.abs(value) >= 1e4) return `${Number((value / 1e3).toPrecision(4))}k`;
  return String(value);
}

function legend(lines: readonly Line[]): string {
  if (lines.length < 2) return '';
  const items = lines.map((line) => {
    const dash = line.dashed === true ? ' dashed' : '';
    const key = `<path class="line c${line.colour}${dash}" d="M1,4H21"/>`;
    return `<span><svg width="22" height="8">${key}</svg>${escapeHtml(line.name)}</span>`;
  });
  return `<div class="legend">${items.join('')}</div>`;
}
