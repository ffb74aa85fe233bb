/**
 * What our pages name is there: a relative link names a file and, in it, a heading; a test that a
 * page rests on is a file of the tree, given by the end of its path; a room of ARCHITECTURE.md's table
 * is there.
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

/** Rooms that the table of ARCHITECTURE.md names and the tree lacks. */
export function missingRooms(root: string): string[] {
  const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
  const table = /^## Where is what\n\n([\s\S]*?)\n\n/m.exec(text)?.[1];
  if (table === undefined) return ['the table'];
  const paths = sourceFiles(root).map(({ path }) => path.replace(/^packages\//, ''));
  paths.push(...readdirSync(join(root, 'profiles')).map((name) => `profiles/${name}/`));
  return table.split('\n').flatMap((row) => roomsOf(row).filter((room) => !isThere(room, paths)));
}

/** Full paths: a name without a folder is beside the one before it, a folder in the same package. */
function roomsOf(row: string): string[] {
  let folder = '';
  return [...row.matchAll(/`([\w*./-]+(?:\/|\.ts))`/g)].map(([, name]) => {
    if (/^[\w-]+\/src\/|^profiles\//.test(name)) folder = name.replace(/[^/]*$/, '');
    else if (name.includes('/')) return `${folder.replace(/src\/.*/, 'src/')}${name}`;
    else return `${folder}${name}`;
    return name;
  });
}

function isThere(room: string, paths: readonly string[]): boolean {
  const [start, end] = room.split('*');
  return paths.some((path) => path.startsWith(start) && path.endsWith(end ?? ''));
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
