/** An export has a user in another file; one of a package, in another package. */
import { describe, expect, it } from 'vitest';
import { findUnusedExports } from './unused-exports.js';

const messages = (files: Record<string, string>): string[] =>
  findUnusedExports(Object.entries(files).map(([path, text]) => ({ path, text }))).map(
    ({ path, line, message }) => `${path}:${line}: ${message.split(' ')[0]}`,
  );

describe('of a file', () => {
  const text = 'const a = 1;\nexport function b() {}\nexport const c = b;\nexport type T = 1;\n';

  it('another one uses it, or nobody', () => {
    const user = "import { c } from './x.js';\nc();\n";
    expect(messages({ 'packages/base/src/x.ts': text, 'packages/base/src/y.ts': user })).toEqual([
      'packages/base/src/x.ts:2: b',
      'packages/base/src/x.ts:4: T',
    ]);
  });

  it('a type passes beside what the index passes on, which may need it', () => {
    const files = {
      'packages/base/src/x.ts': 'export const c = 1;\nexport interface T {}\n',
      'packages/base/src/index.ts': "export { c } from './x.js';\n",
      'test/pipeline/z.ts': 'c;',
    };
    expect(messages(files)).toEqual([]);
    expect(messages({ ...files, 'packages/base/src/index.ts': '' })).toEqual([
      'packages/base/src/x.ts:2: T',
    ]);
  });

  it('a comment is no use, a test is', () => {
    const x = 'packages/base/src/x.ts';
    expect(messages({ [x]: text, 'packages/base/src/y.ts': '/** b */ c as T; // b\n' })).toEqual([
      `${x}:2: b`,
    ]);
    expect(messages({ [x]: text, 'packages/base/src/y.test.ts': 'b(c as T);' })).toEqual([]);
  });
});

describe('of a package', () => {
  const index = "export { a, type B } from './x.js';\nexport * from './y.js';\n";

  it('another package uses it', () => {
    const files = { 'packages/base/src/index.ts': index, 'packages/base/src/x.ts': 'a as B;' };
    expect(messages(files)).toEqual([
      'packages/base/src/index.ts:1: a',
      'packages/base/src/index.ts:1: B',
    ]);
    expect(messages({ ...files, 'test/pipeline/z.ts': 'a as B;' })).toEqual([]);
  });
});
