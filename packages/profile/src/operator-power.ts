/**
 * Power that operators drew while they were timed, looked up like their times: interpolated between
 * measured sizes, and never beyond what was measured.
 */
import type { AttentionBatch } from './latency-model.js';
import { type ProfileTable, ProfileTableBuilder, rowAt } from './profile-table.js';
import { modelOfTable, type TableModel } from './table-model.js';

/** W of one device; undefined where an operator's power was not measured. */
export interface OperatorPower {
  denseW(operator: string, tp: number, tokens: number): number | undefined;
  perSequenceW(operator: string, tp: number, sequences: number): number | undefined;
  attentionW(tp: number, batch: AttentionBatch): number | undefined;
  moeW(tp: number, tokens: number, activatedExperts: number): number | undefined;
}

const milliwattsPerW = 1000;

/** @returns undefined when no row of the table has a power */
export function operatorPowerOf(table: ProfileTable): OperatorPower | undefined {
  const builder = new ProfileTableBuilder();
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  const measured = { decodes: false, chunks: false, mixed: false };
  for (let i = 0; i < table.length; i++) {
    const powerW = table.values.powerWatts[i];
    if (!(powerW > 0)) continue;
    const row = rowAt(table, i);
    if (row.kind === 'skew' || row.kind === 'collective') continue;
    // In the column of times, whole numbers as there.
    builder.add({ ...row, durationNs: Math.round(powerW * milliwattsPerW) });
    least = Math.min(least, powerW);
    most = Math.max(most, powerW);
    if (row.kind !== 'attention') continue;
    const [chunk, decodes] = [(row.tokens ?? 0) > 0, (row.sequences ?? 0) > 0];
    measured[chunk && decodes ? 'mixed' : chunk ? 'chunks' : 'decodes'] = true;
  }
  if (builder.length === 0) return undefined;
  return new MeasuredPower(modelOfTable(builder.build(table.info)), least, most, measured);
}

/** Kinds of batches whose attention was measured. */
interface Attended {
  readonly decodes: boolean;
  readonly chunks: boolean;
  readonly mixed: boolean;
}

class MeasuredPower implements OperatorPower {
  private readonly table: TableModel;
  private readonly leastW: number;
  private readonly mostW: number;
  private readonly measured: Attended;

  constructor(table: TableModel, leastW: number, mostW: number, measured: Attended) {
    this.table = table;
    this.leastW = leastW;
    this.mostW = mostW;
    this.measured = measured;
  }

  denseW(operator: string, tp: number, tokens: number): number | undefined {
    if (!this.table.has(operator, tp)) return undefined;
    return this.watts(this.table.denseNs(operator, tp, tokens));
  }

  perSequenceW(operator: string, tp: number, sequences: number): number | undefined {
    if (!this.table.has(operator, tp)) return undefined;
    return this.watts(this.table.perSequenceNs(operator, tp, sequences));
  }

  attentionW(tp: number, batch: AttentionBatch): number | undefined {
    const { prefillCount, decodeCount } = batch;
    if (prefillCount + decodeCount === 0 || !this.table.has('attention', tp)) return undefined;
    const kind = prefillCount === 0 ? 'decodes' : decodeCount === 0 ? 'chunks' : 'mixed';
    if (!this.measured[kind]) return undefined;
    const { prefillNewTokens, prefillContextTokens, decodeContextSum } = batch;
    const level = { prefillCount, prefillNewTokens, prefillContextTokens, decodeCount };
    return this.watts(this.table.attentionNs(tp, { ...level, decodeContextSum }));
  }

  moeW(tp: number, tokens: number, activatedExperts: number): number | undefined {
    if (!this.table.has('moe', tp)) return undefined;
    return this.watts(this.table.moeNs(tp, tokens, activatedExperts));
  }

  private watts(milliwatts: number): number {
    return Math.min(this.mostW, Math.max(this.leastW, milliwatts / milliwattsPerW));
  }
}
