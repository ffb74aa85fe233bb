/** A backend and the two ways to end it; it leaves no process and no temporary file. */
import { lookupCountsSchema } from '@astrolabe/profile';
import { z } from 'zod';
import type { Backend } from '../../backend.js';
import { foreignStagesSchema } from '../../trust-card.js';

export const stageReportSchema = z.strictObject({
  lookups: lookupCountsSchema.optional().describe('of our generator; absent: it did not say'),
  foreign: foreignStagesSchema,
});
/** What is known of the stages when a run is over. */
export type StageReport = Readonly<z.infer<typeof stageReportSchema>>;

export interface OpenedBackend {
  readonly backend: Backend;
  /** Ends all stages in good order. */
  finish(): Promise<StageReport>;
  /** Ends all stages at once. */
  abort(): Promise<void>;
}
