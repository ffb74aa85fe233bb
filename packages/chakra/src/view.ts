/** Pictures of a slice of a graph: Graphviz text, or one HTML page that needs nothing else. */
import type { ExecutionGraph } from './graph.js';
import { checkDependencies, type ResolvedGraph } from './lint/check-dependencies.js';
import { Findings } from './lint/finding.js';
import { collectiveName, nodeTypeName } from './node-record.js';
import { NodeType } from './node-type.js';

const colours: Readonly<Record<number, string>> = {
  [NodeType.memLoad]: '#c8e6c9',
  [NodeType.memStore]: '#a5d6a7',
  [NodeType.comp]: '#bbdefb',
  [NodeType.pimComp]: '#b39ddb',
  [NodeType.commSend]: '#ffe0b2',
  [NodeType.commRecv]: '#ffcc80',
  [NodeType.commColl]: '#ffab91',
};

/** Nodes to show: by position, or those within `depth` edges of a node. */
export interface Slice {
  readonly from?: number;
  /** Exclusive. */
  readonly to?: number;
  readonly around?: { readonly id: number; readonly depth: number };
}

/** Indices of the nodes in the slice, ascending. Empty when `around` names no node. */
export function sliceNodes(graph: ExecutionGraph, slice: Slice): number[] {
  const from = slice.from ?? 0;
  const to = Math.min(slice.to ?? graph.nodeCount, graph.nodeCount);
  if (slice.around === undefined) {
    return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
  }
  const { parentStart, parent, childStart, child } = edgesOf(graph);
  const start = graph.id.indexOf(slice.around.id);
  let frontier = start < 0 ? [] : [start];
  const found = new Set(frontier);
  for (let step = 0; step < slice.around.depth; step++) {
    const next: number[] = [];
    const visit = (node: number): void => {
      if (found.has(node)) return;
      found.add(node);
      next.push(node);
    };
    for (const node of frontier) {
      for (let i = parentStart[node]; i < parentStart[node + 1]; i++) visit(parent[i]);
      for (let i = childStart[node]; i < childStart[node + 1]; i++) visit(child[i]);
    }
    frontier = next;
  }
  return [...found].sort((a, b) => a - b);
}

function edgesOf(graph: ExecutionGraph): ResolvedGraph {
  return checkDependencies({ graph, npu: 0, at: '' }, new Findings(0));
}

/** What a node does, in a few words. */
function detail(graph: ExecutionGraph, node: number): string {
  const size = (sizeBytes: number): string => `${sizeBytes.toLocaleString('en-US')} B`;
  switch (graph.type[node]) {
    case NodeType.commColl:
      return `${collectiveName(graph.commType[node])} ${size(graph.commSizeBytes[node])}`;
    case NodeType.commSend:
      return `SEND to ${graph.commDst[node]} ${size(graph.commSizeBytes[node])}`;
    case NodeType.commRecv:
      return `RECV from ${graph.commSrc[node]} ${size(graph.commSizeBytes[node])}`;
    case NodeType.memLoad:
    case NodeType.memStore:
      return `${nodeTypeName(graph.type[node])} ${size(graph.tensorSizeBytes[node])}`;
    default:
      return `${nodeTypeName(graph.type[node])} ${graph.durationNs[node].toLocaleString('en-US')} ns`;
  }
}

/** Graphviz: `dot -Tsvg`. Edges to nodes outside the slice are left out. */
export function viewDot(graph: ExecutionGraph, nodes: readonly number[]): string {
  const { parentStart, parent } = edgesOf(graph);
  const shown = new Set(nodes);
  const quote = (text: string): string =>
    `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
  const lines = ['digraph chakra {', '  node [shape=box, style=filled, fontname="sans-serif"];'];
  for (const node of nodes) {
    const label = `${graph.id[node]} ${graph.strings[graph.name[node]]}\n${detail(graph, node)}`;
    const colour = colours[graph.type[node]] ?? '#eeeeee';
    lines.push(`  n${node} [label=${quote(label)}, fillcolor="${colour}"];`);
  }
  for (const node of nodes) {
    for (let i = parentStart[node]; i < parentStart[node + 1]; i++) {
      if (shown.has(parent[i])) lines.push(`  n${parent[i]} -> n${node};`);
    }
  }
  lines.push('}', '');
  return lines.join('\n');
}

const boxWidth = 190;
const boxHeight = 44;
const gapX = 24;
const gapY = 34;

interface Layout {
  /** Upper left corner of each node's box. */
  readonly corner: ReadonlyMap<number, { readonly x: number; readonly y: number }>;
  readonly width: number;
  readonly height: number;
}

/** One HTML page with an SVG: nodes in layers by dependency, each with a tooltip. */
export function viewHtml(graph: ExecutionGraph, nodes: readonly number[], title: string): string {
  const edges = edgesOf(graph);
  const layout = layersOf(nodes, edges);
  const parts = [...arrows(nodes, edges, layout), ...nodes.map((node) => box(graph, node, layout))];
  return page(title, nodes.length, graph.nodeCount, layout, parts.join('\n'));
}

/** A node lies below all its parents that are shown; nodes of a layer in order of the graph. */
function layersOf(nodes: readonly number[], { parentStart, parent, order }: ResolvedGraph): Layout {
  const shown = new Set(nodes);
  const layerOf = new Map<number, number>();
  const widthOf: number[] = [];
  const corner = new Map<number, { x: number; y: number }>();
  for (const node of order) {
    if (!shown.has(node)) continue;
    let layer = 0;
    for (let i = parentStart[node]; i < parentStart[node + 1]; i++) {
      layer = Math.max(layer, (layerOf.get(parent[i]) ?? -1) + 1);
    }
    layerOf.set(node, layer);
    const column = widthOf[layer] ?? 0;
    widthOf[layer] = column + 1;
    corner.set(node, {
      x: gapX + column * (boxWidth + gapX),
      y: gapY + layer * (boxHeight + gapY),
    });
  }
  return {
    corner,
    width: gapX + Math.max(1, ...widthOf) * (boxWidth + gapX),
    height: gapY + Math.max(1, widthOf.length) * (boxHeight + gapY),
  };
}

function arrows(
  nodes: readonly number[],
  { parentStart, parent }: ResolvedGraph,
  { corner }: Layout,
): string[] {
  const paths: string[] = [];
  for (const node of nodes) {
    const to = corner.get(node);
    for (let i = parentStart[node]; i < parentStart[node + 1]; i++) {
      const from = corner.get(parent[i]);
      if (from === undefined || to === undefined) continue;
      const [x1, y1] = [from.x + boxWidth / 2, from.y + boxHeight];
      const [x2, y2] = [to.x + boxWidth / 2, to.y];
      const bend = `C${x1} ${y1 + gapY} ${x2} ${y2 - gapY}`;
      paths.push(`<path d="M${x1} ${y1}${bend} ${x2} ${y2}" marker-end="url(#tip)"/>`);
    }
  }
  return paths;
}

function box(graph: ExecutionGraph, node: number, { corner }: Layout): string {
  const { x, y } = corner.get(node) ?? { x: 0, y: 0 };
  const name = graph.strings[graph.name[node]];
  const colour = colours[graph.type[node]] ?? '#eeeeee';
  const short = name.length > 26 ? `${name.slice(0, 25)}...` : name;
  return (
    `<g><title>${escapeHtml(`id ${graph.id[node]} ${name}: ${detail(graph, node)}`)}</title>` +
    `<rect x="${x}" y="${y}" width="${boxWidth}" height="${boxHeight}" rx="4" ` +
    `fill="${colour}"/><text x="${x + 8}" y="${y + 17}">${escapeHtml(short)}</text>` +
    `<text class="detail" x="${x + 8}" y="${y + 34}">` +
    `${escapeHtml(detail(graph, node))}</text></g>`
  );
}

function page(
  title: string,
  shown: number,
  total: number,
  { width, height }: Layout,
  body: string,
): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title>
<style>
body { font: 14px sans-serif; margin: 16px; }
svg { border: 1px solid #ccc; }
text { font: 12px sans-serif; fill: #222; }
text.detail { font-size: 11px; fill: #555; }
rect { stroke: #666; }
path { fill: none; stroke: #888; }
</style></head><body>
<h1>${escapeHtml(title)}</h1>
<p>${shown} of ${total} nodes.</p>
<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"
 orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#888;stroke:none"/></marker></defs>
${body}
</svg></body></html>
`;
}

function escapeHtml(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;');
}
