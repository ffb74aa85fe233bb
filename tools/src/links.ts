/**
 * What our pages name is there: a relative link names a file and, in it, a heading; a test that a
 * page rests on is a file of the tree, given by the end of its path.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Finding, sourceFiles } from './tidy.js';

export function checkLinks(root: string): Finding[] {
  const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'].concat(
    readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  );
  const tests = sourceFiles(root).map(({ path }) => `/${path}`);
  return pages.flatMap((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    const exists = (target: string, anchor: string | undefined): boolean => {
      const file = target === '' ? join(root, path) : join(root, dirname(path), target);
      if (!existsSync(file)) return false;
      return anchor === undefined || headings(readFileSync(file, 'utf8')).has(anchor);
    };
    return [
      ...brokenLinks(text, exists).map(({ line, target }) => ({
        path,
        line,
        message: `link to ${target}, which is not there`,
      })),
      ...missingTests(text, tests).map(({ line, test }) => ({
        path,
        line,
        message: `${test} is no test of the tree`,
      })),
    ];
  });
}

/** Anchors of a page's headings, as GitHub makes them: lower case, no punctuation, hyphens. */
export function headings(text: string): Set<string> {
  const found = new Set<string>();
  let code = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('```')) code = !code;
    const title = code ? undefined : /^#+ (.*)$/.exec(line)?.[1];
    if (title === undefined) continue;
    found.add(
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );
  }
  return found;
}

/** Relative links of a page that `exists` denies. */
export function brokenLinks(
  text: string,
  exists: (target: string, anchor: string | undefined) => boolean,
): { readonly line: number; readonly target: string }[] {
  const broken: { line: number; target: string }[] = [];
  text.split('\n').forEach((content, index) => {
    for (const [, target, anchor] of content.matchAll(/\]\(([^)#\s]*)(?:#([^)]*))?\)/g)) {
      if (/^[a-z]+:/.test(target) || exists(target, anchor)) continue;
      broken.push({
        line: index + 1,
        target: anchor === undefined ? target : `${target}#${anchor}`,
      });
    }
  });
  return broken;
}

/** Tests named like `kv/block-pool.test.ts` that no path ends in. */
export function missingTests(
  text: string,
  paths: readonly string[],
): { readonly line: number; readonly test: string }[] {
  return text.split('\n').flatMap((content, index) =>
    [...content.matchAll(/`([\w./-]+\.test\.ts)`/g)]
      .map(([, test]) => test)
      .filter((test) => !paths.some((path) => path.endsWith(`/${test}`)))
      .map((test) => ({ line: index + 1, test })),
  );
}
