/** The README's table of errors, from the table that `npm run validate` writes into docs/accuracy.md. */

/** Metric of each column behind the first. */
const columns = ['ttftMean', 'tpotMean', 'latencyMean', 'throughput', 'cumulativeTokens'];

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** The README with today's errors, in the rows and columns that it has, and today's count of cases. */
export function withAccuracy(readme: string, accuracy: string): string {
  const errors = new Map<string, number>();
  for (const [id, , metric, , , error] of accuracy.split('\n').map(cellsOf)) {
    if (error !== undefined) errors.set(`${id} ${metric}`, Number(error.replaceAll('*', '')));
  }
  const [, passed, failed] = /^(\d+) passed, (\d+) failed/m.exec(accuracy) ?? [];
  return readme
    .split('\n')
    .map((line) => {
      const id = /^\| .*`((?:v1|fig\d+)-[^`]*)` \|/.exec(line)?.[1];
      if (id === undefined) return line;
      const [run, ...values] = cellsOf(line);
      const cells = values.map((value, i) =>
        value === '' ? '' : signed(errors.get(`${id} ${columns[i]}`)),
      );
      return `| ${[run, ...cells].join(' | ')} |`
        .replaceAll('|  |', '| |')
        .replaceAll('|  |', '| |');
    })
    .join('\n')
    .replace(/\d+ of \d+ cases meet/, `${passed} of ${Number(passed) + Number(failed)} cases meet`);
}

function signed(percent: number | undefined): string {
  if (percent === undefined || Number.isNaN(percent)) return '?';
  return `${percent < 0 ? '' : '+'}${percent.toFixed(1)}`;
}
