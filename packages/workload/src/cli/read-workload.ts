/**
 * Workloads from files, `.gz` files or stdin (`-`): the format is found from the first record, every
 * request is checked as it passes, errors name file and line.
 */
import { UserError } from '@astrolabe/base';
import { type ColumnNames, columnsFormat, requireColumns } from '../formats/columns.js';
import type { Draft, ReadOptions, RowReader, WorkloadFormat } from '../formats/format.js';
import { formatByName, ignoredKeys, sniffFormat } from '../formats/workload-formats.js';
import { PrefixAttacher } from '../prefix-attacher.js';
import type { Request } from '../request.js';
import { RequestChecker } from '../request-checker.js';
import { openRows, shownName } from './read-rows.js';

export interface ReadWorkloadOptions extends ReadOptions {
  /** Name of the format; found from the first record when absent. */
  readonly format?: string | undefined;
  /** Columns of a table that is of no known format. */
  readonly columns?: ColumnNames | undefined;
  /** Told once: the format and the keys that are not read. */
  readonly onFormat?: (format: WorkloadFormat, ignored: readonly string[]) => void;
  /** What the reader has to say at the end, e.g. rows left out. */
  readonly onNote?: (note: string) => void;
}

export interface PlacedDraft {
  readonly draft: Draft;
  /** `file:line` */
  readonly at: string;
}

interface PlacedRequest {
  readonly request: Request;
  readonly at: string;
}

/**
 * Every request of a workload, validated and in order of arrival.
 * @throws UserError with file:line
 */
export async function readWorkload(
  path: string,
  options: ReadWorkloadOptions = {},
): Promise<Request[]> {
  const checker = new RequestChecker();
  const requests: Request[] = [];
  for await (const { request, at } of streamRequests(path, options)) {
    checker.check(request, at);
    requests.push(request);
  }
  if (requests.length === 0) throw new UserError('no requests', { at: shownName(path) });
  return requests;
}

/** Requests in file order, unchecked across lines: for lint. */
export async function* streamRequests(
  path: string,
  options: ReadWorkloadOptions = {},
): AsyncGenerator<PlacedRequest> {
  const attacher = new PrefixAttacher();
  for await (const { draft, at } of streamDrafts(path, options)) {
    yield { request: attacher.attach(draft), at };
  }
}

/** Requests whose content hashes are not yet resolved: for reordering. */
export async function* streamDrafts(
  path: string,
  options: ReadWorkloadOptions = {},
): AsyncGenerator<PlacedDraft> {
  const { rows, syntax } = await openRows(path);
  let reader: RowReader | undefined;
  let last = shownName(path);
  for await (const { row, at } of rows) {
    last = at;
    if (reader === undefined) {
      const keys = Object.keys(row);
      const format = formatOf(keys, syntax, at, options);
      options.onFormat?.(format, ignoredKeys(format, keys));
      reader = format.open(options);
    }
    for (const draft of reader.read(row, at)) yield { draft, at };
  }
  for (const draft of reader?.end?.() ?? []) yield { draft, at: last };
  for (const note of reader?.notes?.() ?? []) options.onNote?.(note);
}

function formatOf(
  keys: readonly string[],
  syntax: WorkloadFormat['syntax'],
  at: string,
  { format, columns }: ReadWorkloadOptions,
): WorkloadFormat {
  if (columns !== undefined) {
    requireColumns(columns, keys, at);
    return columnsFormat(columns, syntax);
  }
  return format === undefined ? sniffFormat(keys, syntax, at) : formatByName(format);
}
