/**
 * PyTorch's host execution trace (ExecutionTraceObserver, schemas 1.0.1 to 1.1.1): operator shapes by
 * record-function id, which Kineto's events carry too. Linked that way, a Kineto trace recorded
 * without shapes gets them.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';

export type HostOperators = ReadonlyMap<number, readonly (readonly number[])[]>;

const attributeSchema = z.looseObject({ name: z.string(), value: z.unknown() });
const nodeSchema = z.looseObject({
  id: z.number(),
  name: z.string(),
  rf_id: z.number().optional(),
  input_shapes: z.array(z.unknown()).optional(),
  inputs: z.unknown().optional(),
  attrs: z.array(attributeSchema).optional(),
});
const hostSchema = z.looseObject({ schema: z.string(), nodes: z.array(nodeSchema) });

/** @throws UserError not a host trace, or a schema we do not know */
export function readHostTrace(value: unknown, at: string): HostOperators {
  const trace = parseWith(hostSchema, value, at);
  if (!/^1\.[01]\.\d/.test(trace.schema)) {
    throw new UserError(`execution trace schema "${trace.schema}" is not known`, {
      at,
      hint: 'known: 1.0.1 to 1.1.1',
    });
  }
  const shapes = new Map<number, readonly (readonly number[])[]>();
  for (const node of trace.nodes) {
    const id = node.rf_id ?? node.attrs?.find(({ name }) => name === 'rf_id')?.value;
    const inputs = node.inputs as { shapes?: unknown[] } | undefined;
    const list = node.input_shapes ?? inputs?.shapes;
    if (typeof id !== 'number' || !Array.isArray(list)) continue;
    shapes.set(
      id,
      list.filter((shape): shape is number[] => Array.isArray(shape)),
    );
  }
  return shapes;
}
