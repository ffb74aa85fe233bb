/**
 * Exports that no other file uses. By words, not by types: a name that another file has for something
 * else passes, and nothing that is used is reported. A type passes, too, in a file of which an index
 * passes something on: it may stand in a signature of that.
 */
import type { Finding, SourceFile } from './tidy.js';

/** Has readers outside: docs/chakra.md shows it in programs. */
const library = 'packages/chakra/';

const declared = /^export (?:async )?(?:function\*?|const|class) (\w+)/gm;
const declaredWithTypes = /^export (?:async )?(?:function\*?|const|class|interface|type) (\w+)/gm;
const passedOn = /^export (?:type )?\{([^}]*)\} from/gm;

export function findUnusedExports(files: readonly SourceFile[]): Finding[] {
  const users = new Map<string, string[]>();
  for (const { path, text } of files) {
    if (isIndex(path)) continue;
    for (const word of new Set(withoutComments(text).match(/\w+/g))) {
      const paths = users.get(word);
      if (paths === undefined) users.set(word, [path]);
      else paths.push(path);
    }
  }
  const inIndex = new Set(files.filter(({ path }) => isIndex(path)).flatMap(passedOnFiles));
  return files.flatMap(({ path, text }) => {
    const own = inIndex.has(path) ? declared : declaredWithTypes;
    const outside = isIndex(path) ? path.replace(/src\/.*/, '') : path;
    if (isIndex(path) && outside === library) return [];
    return [...text.matchAll(isIndex(path) ? passedOn : own)].flatMap((match) =>
      namesOf(match[1])
        .filter((name) => !(users.get(name) ?? []).some((user) => !user.startsWith(outside)))
        .map((name) => ({
          path,
          line: text.slice(0, match.index).split('\n').length,
          message: `${name} is exported, and nobody else uses it`,
        })),
    );
  });
}

/** Of a package or of a room with its own export; an `index.ts` of a folder inside is an ordinary file. */
function isIndex(path: string): boolean {
  return /^packages\/[^/]+\/src\/((cli|arrow)\/)?index\.ts$/.test(path);
}

/** Files that an index takes something from. */
function passedOnFiles({ path, text }: SourceFile): string[] {
  const folder = path.slice(0, path.lastIndexOf('/'));
  return [...text.matchAll(/ from '\.\/(.*)\.js'/g)].map((match) => `${folder}/${match[1]}.ts`);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
}

/** Of `a, type B, c as d`. */
function namesOf(list: string): string[] {
  return list
    .split(',')
    .map((item) => item.trim().replace(/^type |^.* as /, ''))
    .filter((name) => name !== '');
}
