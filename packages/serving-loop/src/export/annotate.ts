/**
 * Graphs as other simulators want them: operations and bytes on every compute node that has some, and
 * on the first node of each iteration what it was about (requests, phase, batch), as attributes that
 * readers may ignore.
 */
import { Attr, type Attribute, type ExecutionGraph, NodeType } from '@astrolabe/chakra';
import { attendsLocally, type Instance } from '@astrolabe/config';
import type { Iteration } from '@astrolabe/trace-generator';
import {
  type BatchShape,
  batchShape,
  movedBytes,
  operatorWork,
  type Work,
} from './operator-work.js';

const layerPrefix = /^layer\d+\./;

/** `layer3.o_proj` -> `o_proj`. */
export function operatorOf(name: string): string {
  return name.replace(layerPrefix, '');
}

/** The batch as each node's layer attends to it. */
export function shapesOf(
  { newTokens, contextTokens }: Pick<Iteration, 'newTokens' | 'contextTokens'>,
  { model }: Instance,
): (name: string) => BatchShape {
  const { localAttention, slidingWindow } = model;
  const window = slidingWindow === undefined ? undefined : { span: slidingWindow, chunked: false };
  const other = batchShape(newTokens, contextTokens, window);
  if (localAttention === undefined) return () => other;
  const local = batchShape(newTokens, contextTokens, localAttention);
  return (name) => {
    const layer = /^layer(\d+)\./.exec(name)?.[1];
    return layer !== undefined && attendsLocally(model, Number(layer)) ? local : other;
  };
}

/** The graph with `num_ops` and `tensor_size`; columns that it changes are its own. */
export function withWork(
  graph: ExecutionGraph,
  instance: Instance,
  iteration: Iteration,
): ExecutionGraph {
  const shapeOf = shapesOf(iteration, instance);
  const works = new Map<number, Work | undefined>();
  const present = graph.present.slice();
  const numOps = graph.numOps.slice();
  const tensorSizeBytes = graph.tensorSizeBytes.slice();
  for (let node = 0; node < graph.nodeCount; node++) {
    if (graph.type[node] !== NodeType.comp) continue;
    const name = graph.name[node];
    if (!works.has(name)) {
      const text = graph.strings[name];
      works.set(name, operatorWork(operatorOf(text), instance, shapeOf(text)));
    }
    const work = works.get(name);
    // Host time has neither; a size of 0 tells rooflines to skip it.
    numOps[node] = Math.round(work?.numOps ?? 0);
    tensorSizeBytes[node] = work === undefined ? 0 : Math.round(movedBytes(work));
    present[node] |= Attr.numOps | Attr.tensorSize;
  }
  return { ...graph, present, numOps, tensorSizeBytes };
}

/** The graph with the iteration's attributes on its first node. */
export function withIteration(graph: ExecutionGraph, iteration: Iteration): ExecutionGraph {
  if (graph.nodeCount === 0) return graph;
  const extra = new Map(graph.extra);
  extra.set(0, [...(extra.get(0) ?? []), ...iterationAttributes(iteration)]);
  return { ...graph, extra };
}

function iterationAttributes(iteration: Iteration): Attribute[] {
  const { newTokens, contextTokens } = iteration;
  const count = (name: string, value: number): Attribute => ({ name, kind: 'int64_val', value });
  const list = (name: string, value: readonly number[]): Attribute => ({
    name,
    kind: 'int64_list',
    value,
  });
  return [
    count('instance', iteration.instance),
    count('iteration', iteration.iteration),
    count('release_ns', iteration.releaseNs),
    { name: 'phase', kind: 'string_val', value: phaseOf(iteration) },
    list('requests', iteration.requests),
    list('new_tokens', newTokens),
    list('context_tokens', contextTokens),
  ];
}

function phaseOf({ newTokens, contextTokens }: Iteration): string {
  const decodes = newTokens.filter((count, i) => count === 1 && contextTokens[i] > 0).length;
  if (decodes === 0) return newTokens.length === 0 ? 'dummy' : 'prefill';
  return decodes === newTokens.length ? 'decode' : 'mixed';
}
