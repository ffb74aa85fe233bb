/** Results of the serving loop as the rows that metrics are computed from. */
import type { RequestResult } from '@astrolabe/serving-loop';
import type { RequestRow } from '../run-data.js';

/** Finished requests only. */
export function simulatedRows(results: readonly RequestResult[]): RequestRow[] {
  return results.flatMap((row) => {
    if (row.firstTokenNs === null || row.finishNs === null) return [];
    return [
      {
        id: String(row.request),
        promptTokens: row.promptTokens,
        outputTokens: row.outputTokens,
        arrivalNs: row.arrivalNs,
        scheduledNs: row.scheduledNs ?? undefined,
        firstTokenNs: row.firstTokenNs,
        lastTokenNs: row.finishNs,
      },
    ];
  });
}
