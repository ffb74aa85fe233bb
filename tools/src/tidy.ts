/**
 * The house rules as checks over the tree, run as a test: package table, size of files and functions,
 * banned calls, where `node:` may appear, exports without a user,
 * imports in a circle. Pure functions over (path, text).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findImportCycle } from './import-cycles.js';
import { floors, forbidden } from './packages.js';
import { findUnusedExports } from './unused-exports.js';

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Comments, and exports of what other files have. */
const passedOn = /\/\*[\s\S]*?\*\/|\/\/.*|^export [^;]* from '[^']*';/gm;
const maxFileLines = 400;
const maxFunctionLines = 70;
const functionStart = /^(?:export )?(?:async )?function\*? (\w+)/;
const methodStart =
  /^ {2}(?:private |static |async |override )*\*?(?!(?:if|for|while|switch)\b)(\w+)\(.*\{$/;
/** The formatter keeps code at 100; prose may end its word. */
const maxLineLength = 110;

/** Calls that do not belong in the code, with what to use instead. */
const banned: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\bMath\.random\s*\(/, 'Random from @astrolabe/base'],
  [/\bDate\.now\s*\(/, 'simulated time; wall time never enters results'],
  [/\bprocess\.exit\s*\(/, 'process.exitCode and return'],
  [/\bconsole\./, 'stdout for data, stderr for people (base/cli)'],
  [/@ts-(ignore|nocheck|expect-error)/, 'a type that says it'],
  [/\b(FIXME|TODO|XXX)\b/, 'an issue'], // the words themselves: this file is exempt, see below
];

/** The files that talk about banned words. */
const exempt = new Set(['tools/src/tidy.ts', 'test/setup.ts']);

/** Files that may touch Node: commands, their `cli/` rooms, tools and tests. */
function mayUseNode(path: string): boolean {
  return /\/src\/cli(\.ts|\/)/.test(path) || path.startsWith('tools/') || path.startsWith('test/');
}

/** `serving-loop` for packages/serving-loop/src/x.ts. */
function packageOf(path: string): string | undefined {
  return /^packages\/([^/]+)\//.exec(path)?.[1];
}

export function checkFile(file: SourceFile): Finding[] {
  const findings: Finding[] = [];
  const lines = file.text.split('\n');
  const test = /\.test\.ts$/.test(file.path);
  const add = (line: number, message: string): void => {
    findings.push({ path: file.path, line, message });
  };
  if (!test && lines.length > maxFileLines) {
    add(lines.length, `${lines.length} lines; more than ${maxFileLines} is two rooms`);
  }
  if (!test) findings.push(...checkFunctions(file.path, lines));
  if (file.path.endsWith('/index.ts') && file.text.replace(passedOn, '').trim() !== '') {
    add(1, 'code in an index: a file of its own, named after what it exports');
  }
  const bench = file.path.startsWith('tools/');
  lines.forEach((text, index) => {
    if (!test && text.length > maxLineLength && !/https?:|^\s*['"`]/.test(text)) {
      add(index + 1, `${text.length} columns, at most ${maxLineLength}`);
    }
    for (const [pattern, instead] of banned) {
      if (pattern.test(text) && !test && !(bench && pattern.source.includes('Date'))) {
        if (!exempt.has(file.path)) add(index + 1, `${pattern.source}: use ${instead}`);
      }
    }
    if (/from '(node:|cli-progress)/.test(text) && !test && !mayUseNode(file.path)) {
      add(index + 1, 'node: only in cli.ts, src/cli/ and base/src/cli');
    }
  });
  return findings;
}

/** As the formatter lays them out: the brace that ends a function or method is below its first letter. */
function checkFunctions(path: string, lines: readonly string[]): Finding[] {
  return lines.flatMap((text, index) => {
    const name = (functionStart.exec(text) ?? methodStart.exec(text))?.[1];
    if (name === undefined) return [];
    const end = text.startsWith(' ') ? /^ {2}\},?$/ : /^\}$/;
    const length = lines.slice(index).findIndex((line) => end.test(line)) + 1;
    if (length <= maxFunctionLines) return [];
    const message = `${name} has ${length} lines; more than ${maxFunctionLines} is two functions`;
    return [{ path, line: index + 1, message }];
  });
}

/** Imports of other packages go down the floors only and are declared. */
export function checkImports(file: SourceFile, declared: ReadonlySet<string>): Finding[] {
  const from = packageOf(file.path);
  if (from === undefined) return [];
  const findings: Finding[] = [];
  const pattern = /(?:from|import)\s*\(?\s*'@astrolabe\/([a-z-]+)(?:\/[a-z]+)?'/g;
  for (const match of file.text.matchAll(pattern)) {
    const to = match[1];
    const line = file.text.slice(0, match.index).split('\n').length;
    const reason = edgeProblem(from, to);
    if (reason !== undefined) findings.push({ path: file.path, line, message: reason });
    if (!declared.has(to)) {
      findings.push({ path: file.path, line, message: `@astrolabe/${to} is not a dependency` });
    }
  }
  return findings;
}

/** Why the package `from` may not use `to`; undefined when it may. */
export function edgeProblem(from: string, to: string): string | undefined {
  if (floors[to] === undefined) return `@astrolabe/${to} is no package`;
  if (from === to) return `${from} imports itself by name`;
  if (floors[to] >= floors[from]) return `${from} may not use ${to}: it is not on a lower floor`;
  const rule = forbidden.find(([a, b]) => a === from && b === to);
  return rule === undefined ? undefined : `${from} may not use ${to}: ${rule[2]}`;
}

/** package.json dependencies and tsconfig references name the same packages, all of them below. */
function checkManifests(root: string): Finding[] {
  const findings: Finding[] = [];
  for (const name of Object.keys(floors)) {
    const path = `packages/${name}/package.json`;
    const declared = [...dependenciesOf(root, name)].sort();
    for (const to of declared) {
      const reason = edgeProblem(name, to);
      if (reason !== undefined) findings.push({ path, line: 1, message: reason });
    }
    const config = JSON.parse(readFileSync(join(root, `packages/${name}/tsconfig.json`), 'utf8'));
    const references = (config.references as { path: string }[])
      .map((reference) => reference.path.replace('../', ''))
      .sort();
    if (references.join() !== declared.join()) {
      findings.push({
        path,
        line: 1,
        message: `dependencies (${declared}) and tsconfig references (${references}) differ`,
      });
    }
  }
  return findings;
}

function dependenciesOf(root: string, name: string): Set<string> {
  const text = readFileSync(join(root, `packages/${name}/package.json`), 'utf8');
  const dependencies = JSON.parse(text).dependencies ?? {};
  return new Set(
    Object.keys(dependencies)
      .filter((key) => key.startsWith('@astrolabe/'))
      .map((key) => key.slice('@astrolabe/'.length)),
  );
}

/** All TypeScript sources of packages, test and tools, paths relative to the root. */
export function sourceFiles(root: string): SourceFile[] {
  const found: SourceFile[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (entry.name !== 'node_modules' && entry.name !== 'dist') walk(path);
      } else if (/\.m?ts$/.test(entry.name)) {
        found.push({ path, text: readFileSync(join(root, path), 'utf8') });
      }
    }
  };
  for (const folder of ['packages', 'test', 'tools']) walk(folder);
  return found;
}

export function tidy(root: string): Finding[] {
  const files = sourceFiles(root);
  const findings = [
    ...checkManifests(root),
    ...findUnusedExports(files),
    ...findImportCycle(files),
  ];
  const declared = new Map<string, Set<string>>();
  for (const file of files) {
    findings.push(...checkFile(file));
    const name = packageOf(file.path);
    if (name === undefined) continue;
    if (!declared.has(name)) declared.set(name, dependenciesOf(root, name));
    findings.push(...checkImports(file, declared.get(name) as Set<string>));
  }
  return findings;
}
