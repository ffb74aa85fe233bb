/**
 * A table of the user's own, as CSV or JSON records: `--columns` says which column is what, e.g.
 * `arrival_s=timestamp,prompt=prompt_len,output=completion_len,class=tenant`.
 */
import { nearest, UserError } from '@astrolabe/base';
import type { Request } from '../request.js';
import {
  arrivalSource,
  hasField,
  integerField,
  numberField,
  type Row,
  textField,
  type WorkloadFormat,
} from './format.js';
import { tableReader, timestampReader } from './tables.js';

/** Column of each quantity, by the quantity's name. */
export type ColumnNames = Readonly<Partial<Record<Quantity, string>>>;

/** Numbers count from the trace's own zero, time stamps (UTC) from the first row. */
const arrivalUnitsNs = { arrival_s: 1e9, arrival_ms: 1e6, arrival_us: 1e3, arrival_ns: 1 } as const;
const arrivalNames = ['arrival', ...Object.keys(arrivalUnitsNs)];
const others = ['prompt', 'output', 'id', 'session', 'model', 'class', 'priority'] as const;
type Quantity = 'arrival' | keyof typeof arrivalUnitsNs | (typeof others)[number];

export const columnsAbout = `${arrivalNames.join(' | ')}, ${others.join(', ')}`;

/** @throws UserError a quantity that does not exist, is named twice, or is missing */
export function parseColumns(text: string): ColumnNames {
  const known = new Set<string>([...arrivalNames, ...others]);
  const columns: Record<string, string> = {};
  for (const part of text.split(',')) {
    const [quantity, column] = split(part);
    if (!known.has(quantity) || column === '') {
      const guess = nearest(quantity, known);
      throw columnsError(
        `"${part}" is no quantity=column`,
        guess === undefined || guess === quantity ? undefined : guess,
      );
    }
    if (quantity in columns) throw columnsError(`${quantity} is given twice`);
    columns[quantity] = column;
  }
  if (columns.prompt === undefined || columns.output === undefined) {
    throw columnsError('prompt and output must be given');
  }
  if (arrivalNames.filter((name) => name in columns).length > 1) {
    throw columnsError('more than one column of arrivals');
  }
  return columns;
}

function split(part: string): [string, string] {
  const at = part.indexOf('=');
  return at < 0 ? [part.trim(), ''] : [part.slice(0, at).trim(), part.slice(at + 1).trim()];
}

function columnsError(message: string, guess?: string): UserError {
  const form = `expected quantity=column,...: ${columnsAbout}`;
  return new UserError(message, {
    at: '--columns',
    hint: guess === undefined ? form : `did you mean "${guess}"? ${form}`,
  });
}

/** @param syntax of the input; any will do */
export function columnsFormat(
  columns: ColumnNames,
  syntax: WorkloadFormat['syntax'],
): WorkloadFormat {
  return {
    name: 'columns',
    about: 'a table of your own, as --columns says',
    syntax,
    keys: [Object.values(columns)],
    optional: [],
    open: (options) =>
      tableReader({
        prompt: columns.prompt!,
        output: columns.output!,
        arrivalNs: arrivalReader(columns) ?? ((_row, at) => arrivalSource(options, at)),
        rest: (row, at) => optionalFields(columns, row, at),
      }),
  };
}

function arrivalReader(columns: ColumnNames): ((row: Row, at: string) => number) | undefined {
  if (columns.arrival !== undefined) return timestampReader(columns.arrival);
  for (const [name, unitNs] of Object.entries(arrivalUnitsNs)) {
    const column = columns[name as keyof typeof arrivalUnitsNs];
    if (column !== undefined) return (row, at) => Math.round(numberField(row, column, at) * unitNs);
  }
  return undefined;
}

function optionalFields(columns: ColumnNames, row: Row, at: string): Partial<Request> {
  const text = (name: Quantity): string | undefined => {
    const column = columns[name];
    return column === undefined ? undefined : textField(row, column);
  };
  const fields: Partial<Request> = {};
  const [id, session, model, sloClass] = [
    text('id'),
    text('session'),
    text('model'),
    text('class'),
  ];
  if (id !== undefined) fields.id = id;
  if (session !== undefined) fields.session = session;
  if (model !== undefined) fields.model = model;
  if (sloClass !== undefined) fields.sloClass = sloClass;
  const { priority } = columns;
  if (priority !== undefined && hasField(row, priority)) {
    fields.priority = integerField(row, priority, at);
  }
  return fields;
}

/** @throws UserError naming a column that the table does not have */
export function requireColumns(columns: ColumnNames, keys: readonly string[], at: string): void {
  for (const [quantity, column] of Object.entries(columns)) {
    if (keys.includes(column)) continue;
    const guess = nearest(column, keys);
    throw new UserError(`no column "${column}" (${quantity} of --columns)`, {
      at,
      hint: `${guess === undefined ? '' : `did you mean "${guess}"? `}there is ${keys.join(', ')}`,
    });
  }
}
