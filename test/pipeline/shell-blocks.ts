/**
 * Shell blocks of a page, to be run verbatim in a folder that looks like the project's root.
 * `<!-- needs: x -->` before a block names what it cannot run without (`bundles` is ../shared's copy of
 * LLMServingSim's profiles, `module:x` a module of Python); `<!-- prints: regex -->` what it writes.
 * Blocks without a language are for machines that a test does not have.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { has, root } from './commands.js';

export interface Block {
  /** With what is missing, so that a skipped test says why. */
  readonly name: string;
  readonly title: string;
  readonly text: string;
  readonly missing: readonly string[];
  readonly prints: RegExp;
}

const bundles = join(root, '../shared/refdata/llmservingsim/v1/profiles');
const always = ['jq', 'bash', 'awk', 'split', 'xargs'];

/** @param python in which modules are looked for */
export function blocksOf(page: string, python = 'python3'): Block[] {
  const text = readFileSync(join(root, page), 'utf8');
  const pattern = /^## (.*)$|^<!-- (needs|prints): (.*) -->$|^```(?:sh|bash)\n([\s\S]*?)\n```$/gm;
  const blocks: Block[] = [];
  let [title, needs, prints] = ['Start', [] as string[], /^/];
  for (const [, heading, kind, value, code] of text.matchAll(pattern)) {
    if (heading !== undefined) title = heading;
    else if (kind === 'needs') needs = value.split(' ');
    else if (kind === 'prints') prints = new RegExp(value);
    else {
      const missing = [...always, ...needs].filter((need) => isMissing(need, python));
      const note = missing.length === 0 ? '' : ` (needs ${missing.join(', ')})`;
      const name = `${page} ${title}, block ${blocks.length + 1}${note}`;
      blocks.push({ name, title, text: code, missing, prints });
      [needs, prints] = [[], /^/];
    }
  }
  return blocks;
}

function isMissing(need: string, python: string): boolean {
  if (need === 'bundles') return !existsSync(bundles);
  if (!need.startsWith('module:')) return !has(need);
  const script = `import ${need.slice('module:'.length)}`;
  return spawnSync(python, ['-c', script], { stdio: 'ignore' }).status !== 0;
}

/** A new folder with what commands of the pages expect in the project's root. */
export function folderLikeRoot(): string {
  const folder = mkdtempSync(join(tmpdir(), 'astrolabe-docs-'));
  for (const name of ['cluster_config', 'node_modules', 'packages', 'profiles', 'tools']) {
    symlinkSync(join(root, name), join(folder, name));
  }
  if (existsSync(bundles)) symlinkSync(bundles, join(folder, 'bundles'));
  return folder;
}
