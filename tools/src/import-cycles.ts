/** Files that import each other in a circle: none can be read, or loaded, first. Types alone may. */
import { dirname, join } from 'node:path';
import type { Finding, SourceFile } from './tidy.js';

const statement = /^(?:import|export) (?!type )([^;']*?)(?:from )?'(\.[^']*)\.js';/gm;

/** One circle, if there is any: others often go the same way. */
export function findImportCycle(files: readonly SourceFile[]): Finding[] {
  const left = new Map(files.map(({ path, text }) => [path, importsOf(path, text)]));
  // Who imports nobody that is left is in no circle.
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const [path, imports] of left) {
      if (!imports.some((other) => left.has(other))) left.delete(path);
    }
  }
  const walked: string[] = [];
  let [path] = left.keys();
  if (path === undefined) return [];
  while (!walked.includes(path)) {
    walked.push(path);
    path = left.get(path)?.find((other) => left.has(other)) as string;
  }
  const circle = [...walked.slice(walked.indexOf(path)), path];
  return [{ path, line: 1, message: `imports itself: ${circle.join(' > ')}` }];
}

function importsOf(path: string, text: string): string[] {
  return [...text.matchAll(statement)]
    .filter(([, names]) => !isTypesOnly(names))
    .map(([, , target]) => `${join(dirname(path), target)}.ts`);
}

/** `{ type A, type B }`: nothing is loaded for them. */
function isTypesOnly(names: string): boolean {
  const list = /^\{([\s\S]*)\}/.exec(names)?.[1].split(',') ?? [''];
  const named = list.map((name) => name.trim()).filter((name) => name !== '');
  return named.length > 0 && named.every((name) => name.startsWith('type '));
}
