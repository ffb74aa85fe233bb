/**
 * Nsight Systems' sqlite export as Kineto-like events, so that one attribution serves both: kernels
 * and copies with their correlation ids, runtime launches, NVTX ranges as annotations. Columns differ
 * between versions and are probed. Correlation ids are unique per process. Times ns.
 */
import { UserError } from '@astrolabe/base';
import type { KinetoEvent } from './kineto.js';

/** What is needed of a database; sql.js and others fit. */
export interface SqliteReader {
  /** Rows of a query as objects. */
  all(query: string): Iterable<Readonly<Record<string, unknown>>>;
}

const processBits = 0x1000000;

/** @throws UserError no kernel table */
export function* nsysEvents(database: SqliteReader, at: string): Generator<KinetoEvent> {
  const tables = new Set([...database.all(tableQuery)].map((row) => String(row.name)));
  if (!tables.has('CUPTI_ACTIVITY_KIND_KERNEL')) {
    throw new UserError('no CUPTI_ACTIVITY_KIND_KERNEL table', {
      at,
      hint: 'profile with --trace=cuda,nvtx and export with nsys export --type sqlite',
    });
  }
  const strings = new Map<number, string>();
  if (tables.has('StringIds')) {
    for (const row of database.all('SELECT id, value FROM StringIds')) {
      strings.set(Number(row.id), String(row.value));
    }
  }
  const text = (value: unknown): string => strings.get(Number(value)) ?? String(value ?? '');
  for (const row of database.all('SELECT * FROM CUPTI_ACTIVITY_KIND_KERNEL')) {
    const name = text(row.demangledName ?? row.shortName);
    const correlation = correlationOf(processOf(row.globalPid), row.correlationId);
    yield event('kernel', name, row, 0, { correlation });
  }
  for (const table of ['CUPTI_ACTIVITY_KIND_RUNTIME', 'CUPTI_ACTIVITY_KIND_DRIVER']) {
    if (!tables.has(table)) continue;
    for (const row of database.all(`SELECT * FROM ${table}`)) {
      const thread = Number(row.globalTid);
      const correlation = correlationOf(processOf(thread), row.correlationId);
      yield event('cuda_runtime', text(row.nameId), row, thread, { correlation });
    }
  }
  if (!tables.has('NVTX_EVENTS')) return;
  for (const row of database.all('SELECT * FROM NVTX_EVENTS WHERE end IS NOT NULL')) {
    const name = row.text === null || row.text === undefined ? text(row.textId) : String(row.text);
    yield event('user_annotation', name, row, Number(row.globalTid), {});
  }
}

const tableQuery = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')";

function processOf(globalId: unknown): number {
  return Math.floor(Number(globalId) / processBits) % processBits;
}

function correlationOf(process: number, correlation: unknown): number {
  return process * 2 ** 32 + Number(correlation);
}

function event(
  cat: string,
  name: string,
  row: Readonly<Record<string, unknown>>,
  tid: number,
  args: Readonly<Record<string, unknown>>,
): KinetoEvent {
  const start = Number(row.start);
  return {
    ph: 'X',
    cat,
    name,
    pid: 0,
    tid,
    ts: start / 1000,
    dur: (Number(row.end) - start) / 1000,
    args,
  };
}
