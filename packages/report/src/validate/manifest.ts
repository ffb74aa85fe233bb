/** The manifest of measured cases: what to run, what was measured, how close we must come. */
import { z } from 'zod';

const realSchema = z.discriminatedUnion('kind', [
  z.looseObject({
    kind: z.literal('vllm-requests'),
    path: z.string().describe('folder with requests.jsonl, timeseries.csv, meta.json'),
    kvBlocks: z.number().optional().describe('blocks of one instance, where meta.json lacks them'),
  }),
  z.looseObject({
    kind: z.literal('summary-tsv'),
    path: z.string(),
    row: z.string().optional().describe('value of the first column; needed with several rows'),
  }),
  z.looseObject({
    kind: z.literal('metrics'),
    values: z.record(z.string(), z.number()).describe('<metric><Stat><Unit>, e.g. ttftP99Ms'),
  }),
]);

const seriesSchema = z.looseObject({
  kind: z.string().describe('throughput-tsv, power-tsv, memory-hit-tsv, throughput, power'),
  path: z.string().optional(),
  paths: z.array(z.string()).optional(),
  intervalS: z.number().positive().optional(),
  values: z.array(z.number()).optional(),
});

export const caseSchema = z.looseObject({
  id: z.string(),
  role: z.string().optional().describe('calibration may be fitted, acceptance may not'),
  about: z.string().optional(),
  profiles: z.string(),
  profileFormat: z.string().optional(),
  workload: z.string(),
  clusterConfig: z.string(),
  engine: z.record(z.string(), z.unknown()).default({}),
  real: realSchema.optional(),
  realSeries: seriesSchema.optional(),
  peer: z.looseObject({ kind: z.string(), path: z.string() }).optional(),
  exact: z.record(z.string(), z.number()).default({}),
  limitsPct: z.record(z.string(), z.number()).default({}),
});

export const manifestSchema = z.looseObject({ cases: z.array(caseSchema) });

export type Case = z.infer<typeof caseSchema>;
export type RealRun = NonNullable<Case['real']>;
export type RealSeries = NonNullable<Case['realSeries']>;
