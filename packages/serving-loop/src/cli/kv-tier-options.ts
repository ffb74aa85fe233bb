/** Flags that put KV tiers below the devices: ours, and LLMServingSim's for the same thing. */
import { nearest, parseWith, UserError } from '@astrolabe/base';
import { booleanFlag } from '@astrolabe/base/cli';
import { type KvTierFile, kvTierSchema } from '@astrolabe/config';
import { type Command, Option } from 'commander';

const storages = { none: undefined, cpu: 'host', cxl: 'cxl', storage: 'storage' } as const;
type Storage = keyof typeof storages;

export function addKvTierOptions(command: Command): Command {
  return command
    .option(
      '--kv-tier <tier>',
      'KV below the device, repeatable, nearest first: host, cxl or storage, then ' +
        'shared, chunk_tokens=256, load=async|blocking, save=all|prompt, capacity=GiB',
      (text: string, before: readonly KvTierFile[] = []) => [...before, parseKvTier(text)],
    )
    .addOption(
      new Option('--prefix-storage <where>', "LLMServingSim's name for one tier").argParser(
        parseStorage,
      ),
    )
    .option('--enable-prefix-sharing [bool]', 'that tier is one pool for all', booleanFlag);
}

/** @throws UserError flags of both kinds */
export function kvTierOptions(raw: Readonly<Record<string, unknown>>): {
  readonly kvTiers?: readonly KvTierFile[] | undefined;
} {
  const tiers = raw.kvTier as readonly KvTierFile[] | undefined;
  const tier = storages[(raw.prefixStorage as Storage | undefined) ?? 'none'];
  if (tier === undefined) return { kvTiers: tiers };
  if (tiers !== undefined) {
    throw new UserError('names a tier, and so does --kv-tier', { at: '--prefix-storage' });
  }
  return { kvTiers: [kvTierSchema.parse({ tier, shared: raw.enablePrefixSharing === true })] };
}

/** `host,shared,chunk_tokens=256` as an entry of `kv_tiers`. @throws UserError */
export function parseKvTier(text: string): KvTierFile {
  const [tier, ...rest] = text.split(',').map((word) => word.trim());
  const entry: Record<string, unknown> = { tier };
  for (const word of rest) {
    const [key, value] = word.split('=', 2);
    entry[key] = value === undefined ? true : Number.isNaN(Number(value)) ? value : Number(value);
  }
  return parseWith(kvTierSchema, entry, '--kv-tier');
}

function parseStorage(text: string): Storage {
  const name = text.toLowerCase();
  if (name in storages) return name as Storage;
  const known = Object.keys(storages);
  throw new UserError(`"${text}" is unknown`, {
    at: '--prefix-storage',
    hint: `did you mean "${nearest(name, known) ?? known.join('", "')}"?`,
  });
}
