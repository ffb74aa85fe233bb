/**
 * The tables of docs/cluster-file.md, from the schemas that read the files, and the README's errors, from
 * docs/accuracy.md. Run by hand after a change of either: `npx tsc -b && node tools/dist/reference.js`;
 * tests hold the pages to their sources.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  calibrationSchema,
  clusterFileSchema,
  cxlMemorySchema,
  deviceCalibrationSchema,
  engineDefaults,
  engineOverridesSchema,
  expertOptionsSchema,
  hostMemorySchema,
  hostStepSchema,
  instanceSchema,
  kvTierSchema,
  kvTransferSchema,
  linkCalibrationSchema,
  measuredLinksSchema,
  nodeSchema,
  npuMemorySchema,
  outputPathSchema,
  placementSchema,
  powerSchema,
  storageSchema,
  topologySchema,
} from '@astrolabe/config';
import { withAccuracy } from './readme.js';

/** As much of JSON Schema as our schemas come to. */
interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly additionalProperties?: JsonSchema | boolean;
}

interface Schema {
  toJSONSchema(options: { io: 'input' }): unknown;
}

/** Keys that have a table of their own, and its heading's anchor. */
const ownTable: Readonly<Record<string, string>> = {
  nodes: 'node',
  instances: 'instance',
  cpu_mem: 'host-memory',
  storage: 'storage',
  npu_mem: 'device-memory',
  cxl_mem: 'cxl-memory',
  topology: 'topology',
  measured_links: 'measured-links',
  kv_transfer: 'kv-transfer',
  kv_tiers: 'kv-tiers',
  experts: 'experts',
  placement: 'placement',
  power: 'power',
  devices: 'of-a-device',
  host_step: 'host-step',
  output_path: 'output-path',
  link: 'link',
};

const engineKeys = Object.keys(engineOverridesSchema.shape);

const tables: readonly [
  id: string,
  schema: Schema,
  links: boolean,
  leaveOut?: readonly string[],
][] = [
  ['cluster', clusterFileSchema, true],
  ['node', nodeSchema, true],
  ['instance', instanceSchema, true, engineKeys],
  ['device-memory', npuMemorySchema, true],
  ['host-memory', hostMemorySchema, true],
  ['storage', storageSchema, true],
  ['cxl-memory', cxlMemorySchema, true],
  ['topology', topologySchema, true],
  ['measured-links', measuredLinksSchema, true],
  ['kv-transfer', kvTransferSchema, true],
  ['kv-tiers', kvTierSchema, true],
  ['experts', expertOptionsSchema, true],
  ['placement', placementSchema, true],
  ['power', powerSchema, false],
  ['calibration-file', calibrationSchema, true],
  ['calibration', deviceCalibrationSchema, true],
  ['host-step', hostStepSchema, true],
  ['output-path', outputPathSchema, true],
  ['link', linkCalibrationSchema, true],
];

interface Row {
  readonly key: string;
  readonly values: string;
  readonly fallback: string;
  readonly meaning: string;
}

/** @param links objects with a table of their own are named, not unfolded */
export function rowsOf(schema: JsonSchema, links: boolean, prefix = ''): Row[] {
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const path = prefix + key;
    const anchor = links && prefix === '' ? ownTable[key] : undefined;
    const optional = required.has(key) ? 'required' : '';
    const isPlain = typeof value.default !== 'object' && value.default !== undefined;
    const fallback = isPlain ? `\`${value.default}\`` : optional;
    const meaning = value.description ?? '';
    const row: Row = { key: path, values: valuesOf(value), fallback, meaning };
    if (anchor !== undefined) return [{ ...row, meaning: `${meaning}: [keys](#${anchor})` }];
    const inner = innerOf(value);
    if (inner === undefined) return [row];
    const below = rowsOf(inner.schema, links, `${path}${inner.step}.`);
    return meaning === '' ? below : [row, ...below];
  });
}

/** Of a key whose values are objects: their schema, and how a path goes on into them. */
function innerOf(value: JsonSchema): { schema: JsonSchema; step: string } | undefined {
  if (value.properties !== undefined) return { schema: value, step: '' };
  if (value.items?.properties !== undefined) return { schema: value.items, step: '[]' };
  const rest = value.additionalProperties;
  if (typeof rest !== 'object' || rest.properties === undefined) return undefined;
  return { schema: rest, step: '.NAME' };
}

function valuesOf(value: JsonSchema): string {
  if (value.enum !== undefined) return value.enum.map((word) => `\`${word}\``).join(', ');
  if (value.anyOf !== undefined) {
    const known = value.anyOf.filter(({ type }) => type !== 'null').map(valuesOf);
    return [...new Set(known)].join(' or ');
  }
  if (value.prefixItems !== undefined) return `[${value.prefixItems.map(valuesOf).join(', ')}]`;
  if (value.type === 'array') return `list of ${valuesOf(value.items ?? {})}`;
  const type = [value.type ?? 'any'].flat().filter((one) => one !== 'null');
  return type.join(' or ');
}

function schemaTable(schema: Schema, links: boolean, leaveOut: readonly string[] = []): string {
  const rows = rowsOf(schema.toJSONSchema({ io: 'input' }) as JsonSchema, links);
  return tableOf(rows.filter(({ key }) => !leaveOut.includes(key)));
}

/** Every option is optional in a file; defaults come in where layers of them are joined. */
function engineTable(): string {
  const defaults: Readonly<Record<string, unknown>> = engineDefaults;
  const special: Readonly<Record<string, string>> = {
    dtype: "the model's",
    max_model_len: "the model's",
    kv_blocks: 'predicted',
    batch_padding: '`cuda-graphs`; TPUs `buckets`',
  };
  const rows = rowsOf(engineOverridesSchema.toJSONSchema({ io: 'input' }) as JsonSchema, false);
  return tableOf(
    rows.map((row) => ({ ...row, fallback: special[row.key] ?? `\`${defaults[row.key]}\`` })),
  );
}

function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ key, values, fallback, meaning }) =>
      `| \`${key}\` | ${values} | ${fallback} | ${meaning.replaceAll('|', '\\|').replaceAll('<', '&lt;')} |`,
  );
  return ['| key | values | default | meaning |', '|---|---|---|---|', ...lines].join('\n');
}

/** The page with its tables as the schemas have them. @throws where a marker is missing */
export function withTables(page: string): string {
  const all = tables.map(([id, schema, links, leaveOut]): [string, string] => [
    id,
    schemaTable(schema, links, leaveOut),
  ]);
  let text = page;
  for (const [id, table] of [...all, ['engine', engineTable()]]) {
    const pattern = new RegExp(`(<!-- ${id}:begin -->\n)[\\s\\S]*?(\n<!-- ${id}:end -->)`);
    if (!pattern.test(text)) throw new Error(`no markers for ${id}`);
    text = text.replace(pattern, (_, begin, end) => `${begin}\n${table}\n${end}`);
  }
  return text;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const root = join(import.meta.dirname, '../..');
  const rewrite = (path: string, change: (text: string) => string): void =>
    writeFileSync(join(root, path), change(readFileSync(join(root, path), 'utf8')));
  rewrite('docs/cluster-file.md', withTables);
  const accuracy = readFileSync(join(root, 'docs/accuracy.md'), 'utf8');
  rewrite('README.md', (text) => withAccuracy(text, accuracy));
}
