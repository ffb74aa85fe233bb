/** Changes of a graph that keep its meaning: the schema version its metadata names. */
import type { Attribute, ExecutionGraph } from './graph.js';

/** Schema versions that exist. Their messages are the same; only these texts differ. */
export const schemaVersions = ['0.0.4', '1.0.0'] as const;
export type SchemaVersion = (typeof schemaVersions)[number];

/**
 * The graph with `version` in its metadata, and in the `schema` attribute that Chakra's converters
 * write ("1.0.2-chakra.0.0.4").
 */
export function withSchemaVersion(graph: ExecutionGraph, version: SchemaVersion): ExecutionGraph {
  const attributes = graph.metadata.attributes.map((attribute): Attribute => {
    if (attribute.name !== 'schema' || typeof attribute.value !== 'string') return attribute;
    const value = attribute.value.replace(/(chakra\.)\d+\.\d+\.\d+$/, `$1${version}`);
    return { name: 'schema', kind: 'string_val', value };
  });
  return { ...graph, metadata: { ...graph.metadata, version, attributes } };
}
