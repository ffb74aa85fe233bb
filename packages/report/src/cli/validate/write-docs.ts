/** Puts a validation into the documentation: its table, and a file of plots per case. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { readText, writeFileWhole } from '@astrolabe/base/cli';
import { renderSvg } from '../../html/chart.js';
import { markdownTable, replaceSection } from '../../validate/format-markdown.js';
import type { CaseRun } from './run-case.js';

/** @param folder of `accuracy.md`; plots go into `accuracy/` beside it */
export function writeDocs(folder: string, runs: readonly CaseRun[]): void {
  const plots = join(folder, 'accuracy');
  mkdirSync(plots, { recursive: true });
  const links: string[] = [];
  for (const { result, charts } of runs) {
    const svg = renderSvg(
      charts.map((chart) => ({ ...chart, title: `${result.id}: ${chart.title}` })),
    );
    if (svg === '') continue;
    writeFileWhole(join(plots, `${result.id}.svg`), svg);
    links.push(`[${result.id}](accuracy/${result.id}.svg)`);
  }
  const table = markdownTable(runs.map(({ result }) => result));
  writeSection(folder, 'validate', `${table}\n\nPlots: ${links.join(', ')}.`);
}

/** One generated section of `accuracy.md`. */
export function writeSection(folder: string, name: string, content: string): void {
  const path = join(folder, 'accuracy.md');
  const text = existsSync(path) ? readText(path) : '# Accuracy\n';
  writeFileWhole(path, replaceSection(text, name, content));
}
