/** Links between our pages lead somewhere: every relative link of a Markdown file names a file. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Finding } from './tidy.js';

export function checkLinks(root: string): Finding[] {
  const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'].concat(
    readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  );
  return pages.flatMap((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    return brokenLinks(text, (target) => existsSync(join(root, dirname(path), target))).map(
      ({ line, target }) => ({ path, line, message: `link to ${target}, which is not there` }),
    );
  });
}

/** Relative links of a page that `exists` denies. */
export function brokenLinks(
  text: string,
  exists: (target: string) => boolean,
): { readonly line: number; readonly target: string }[] {
  const broken: { line: number; target: string }[] = [];
  text.split('\n').forEach((content, index) => {
    for (const match of content.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      const target = match[1];
      if (/^[a-z]+:/.test(target) || exists(target)) continue;
      broken.push({ line: index + 1, target });
    }
  });
  return broken;
}
