/** Flags that a run does not need: no error, as sweeps pass them to every point, but said. */
import type { Cluster } from '@astrolabe/config';
import type { ServingOptions } from './options.js';

/** @returns a note per flag that changes nothing on this cluster */
export function idleFlags(options: ServingOptions, cluster: Cluster): string[] {
  const { flags, decodeRouting } = options;
  const engines = cluster.instances.map((instance) => instance.engine);
  const notes: string[] = [];
  const note = (flag: string, value: unknown, isUsed: boolean, why: string): void => {
    if (value !== undefined && !isUsed) notes.push(`${flag} changes nothing: ${why}`);
  };
  const speculates = engines.some((engine) => engine.speculation !== undefined);
  const noDraft = 'no instance has --speculative-tokens';
  note('--speculative-acceptance', flags.speculative_acceptance, speculates, noDraft);
  note('--speculative-draft-ms', flags.speculative_draft_ns, speculates, noDraft);
  note(
    '--bucket-padding-gap',
    flags.bucket_padding_gap,
    engines.some((engine) => engine.batchPadding === 'buckets'),
    'no instance has --batch-padding buckets',
  );
  note(
    '--decode-routing-policy',
    decodeRouting,
    cluster.instances.some((instance) => instance.role === 'decode'),
    'there are no decode instances',
  );
  return notes;
}
