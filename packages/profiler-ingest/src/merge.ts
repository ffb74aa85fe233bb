/** Several profiles of one hardware, model and dtype as one table. */
import { UserError } from '@astrolabe/base';
import { type ProfileTable, ProfileTableBuilder, rowsOf } from '@astrolabe/profile';

const same = ['hardware', 'model', 'dtype', 'measurement'] as const;

/**
 * Rows of later tables are added to those of earlier ones; equal keys are averaged at lookup.
 * @param names of the tables for messages
 * @throws UserError different hardware, model, dtype or measurement kind
 */
export function mergeTables(
  tables: readonly ProfileTable[],
  names: readonly string[],
): ProfileTable {
  const [first, ...rest] = tables;
  rest.forEach((table, i) => {
    for (const field of same) {
      if (table.info[field] !== first.info[field]) {
        throw new UserError(
          `${field} is ${table.info[field]}, in ${names[0]} it is ${first.info[field]}`,
          { at: names[i + 1], hint: 'tables of different kinds are never merged' },
        );
      }
    }
  });
  const builder = new ProfileTableBuilder();
  for (const table of tables) for (const row of rowsOf(table)) builder.add(row);
  const sources = [...new Set(tables.map(({ info }) => info.source))];
  const notes = [...new Set(tables.flatMap(({ info }) => info.notes ?? []))];
  return builder.build({
    ...first.info,
    source: sources.join('; '),
    ...(notes.length > 0 && { notes }),
  });
}
