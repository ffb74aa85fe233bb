/** The engine block of a case in serving-loop's options. Unknown keys are features we lack. */
import {
  type EngineOverrides,
  engineOverridesSchema,
  type KvTierFile,
  kvTierSchema,
} from '@astrolabe/config';
import { parseRoutingPolicy, type RoutingPolicy } from '@astrolabe/serving-loop';

interface CaseOptions {
  readonly flags: EngineOverrides;
  readonly kvTiers: readonly KvTierFile[] | undefined;
  readonly memoryUtilization: number | undefined;
  readonly deviceMemoryBytes: number | undefined;
  readonly routing: RoutingPolicy;
  /** Keys that nothing here understands. */
  readonly unsupported: readonly string[];
}

/** Names of the manifest that differ from the engine option's own. */
const aliases: Readonly<Record<string, string>> = {
  prefixCaching: 'enable_prefix_caching',
  chunkedPrefill: 'enable_chunked_prefill',
};

/** Keys that are no engine options. */
const elsewhere = new Set([
  'memoryUtilization',
  'deviceMemoryBytes',
  'routing',
  'sharedPrefixTier',
  'sharedPrefixChunkTokens',
]);

export function caseOptions(engine: Readonly<Record<string, unknown>>): CaseOptions {
  const flags: Record<string, unknown> = {};
  const unsupported: string[] = [];
  for (const [key, value] of Object.entries(engine)) {
    if (elsewhere.has(key)) continue;
    const name = aliases[key] ?? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (name in engineOverridesSchema.shape) flags[name] = value;
    else unsupported.push(key);
  }
  const parsed = engineOverridesSchema.safeParse(flags);
  if (!parsed.success) {
    unsupported.push(
      ...parsed.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`),
    );
  }
  const tiers = sharedTier(engine);
  if (tiers === 'unknown') unsupported.push(`sharedPrefixTier=${engine.sharedPrefixTier}`);
  return {
    kvTiers: tiers === 'unknown' ? undefined : tiers,
    flags: parsed.data ?? {},
    memoryUtilization: numberOrUndefined(engine.memoryUtilization),
    deviceMemoryBytes: numberOrUndefined(engine.deviceMemoryBytes),
    routing: parseRoutingPolicy(String(engine.routing ?? 'round-robin')),
    unsupported,
  };
}

function sharedTier(
  engine: Readonly<Record<string, unknown>>,
): readonly KvTierFile[] | undefined | 'unknown' {
  if (engine.sharedPrefixTier === undefined) return undefined;
  const tier = kvTierSchema.safeParse({
    tier: engine.sharedPrefixTier,
    shared: true,
    ...(engine.sharedPrefixChunkTokens === undefined
      ? {}
      : { chunk_tokens: engine.sharedPrefixChunkTokens }),
  });
  return tier.success ? [tier.data] : 'unknown';
}

function numberOrUndefined(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
