/** The tree keeps the house rules, and each rule can fail. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { checkFile, checkImports, edgeProblem, tidy } from './tidy.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('the tree', () => {
  it('keeps the house rules', () => {
    const lines = tidy(root).map(({ path, line, message }) => `${path}:${line}: ${message}`);
    expect(lines).toEqual([]);
  });
});

describe('package boundaries', () => {
  it('go downwards only', () => {
    expect(edgeProblem('serving-loop', 'base')).toBeUndefined();
    expect(edgeProblem('base', 'serving-loop')).toMatch(/not on a lower floor/);
    expect(edgeProblem('trace-generator', 'system-simulator')).toMatch(/execution graph/);
    expect(edgeProblem('report', 'utils')).toMatch(/no package/);
  });

  it('a violation in the source is found', () => {
    const file = {
      path: 'packages/workload/src/x.ts',
      text: "import { a } from '@astrolabe/serving-loop';\n",
    };
    const messages = checkImports(file, new Set(['base'])).map((finding) => finding.message);
    expect(messages).toEqual([
      'workload may not use serving-loop: it is not on a lower floor',
      '@astrolabe/serving-loop is not a dependency',
    ]);
  });
});

describe('file rules', () => {
  const find = (text: string, path = 'packages/base/src/x.ts'): string[] =>
    checkFile({ path, text }).map((finding) => finding.message);

  it('find banned calls', () => {
    expect(find('const x = Math.random();')).toHaveLength(1);
    expect(find('process.exit(1);')).toHaveLength(1);
    expect(find('const x = 1;')).toEqual([]);
  });

  it('keep node: at the edge', () => {
    const text = "import { readFileSync } from 'node:fs';";
    expect(find(text)).toHaveLength(1);
    expect(find(text, 'packages/base/src/cli/io.ts')).toEqual([]);
  });

  it('keep code out of an index', () => {
    const find = (text: string): number =>
      checkFile({ path: 'packages/base/src/index.ts', text }).length;
    expect(find("/** Doc. */\nexport * from './a.js';\nexport {\n  b,\n} from './b.js';\n")).toBe(
      0,
    );
    expect(find("export * from './a.js';\nexport const b = 1;\n")).toBe(1);
  });

  it('limit lines and columns', () => {
    expect(find('x\n'.repeat(500))).toHaveLength(1);
    expect(find(`const ${'x'.repeat(110)} = 1;`)).toHaveLength(1);
    const body = (count: number): string => '    x;\n'.repeat(count);
    expect(find(`function f() {\n${body(68)}}\n`)).toEqual([]);
    expect(find(`export function f(\n${body(69)}}\n`)).toEqual([
      'f has 71 lines; more than 70 is two functions',
    ]);
    expect(find(`class C {\n  private async m(): void {\n${body(69)}  }\n}\n`)).toHaveLength(1);
  });
});
