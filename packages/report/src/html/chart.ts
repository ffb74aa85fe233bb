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

const size = { width: 520, height: 260, left: 62, right: 12, top: 12, bottom: 40 };
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
  const lines = chart.lines.filter((line) => line.xs.length > 0);
  if (lines.length === 0) return '';
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
  return [
    `<figure><figcaption>${escapeHtml(chart.title)}</figcaption>`,
    `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escapeHtml(chart.title)}">`,
    ...axes(chart, xTicks, yTicks, x, y),
    ...paths,
    '</svg>',
    legend(lines),
    '</figure>',
  ].join('\n');
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
