/** Circles of imports are found; types make none. */
import { expect, it } from 'vitest';
import { findImportCycle } from './import-cycles.js';

const messages = (files: Record<string, string>): string[] =>
  findImportCycle(Object.entries(files).map(([path, text]) => ({ path, text }))).map(
    ({ message }) => message,
  );

it('a circle is named, whoever hangs on it', () => {
  const circle = {
    'a/x.ts': "import { y } from './y.js';\n",
    'a/y.ts': "import {\n  z,\n} from '../b/z.js';\n",
    'b/z.ts': "export { y } from '../a/y.js';\n",
  };
  expect(messages(circle)).toEqual(['imports itself: a/y.ts > b/z.ts > a/y.ts']);
  expect(messages({ ...circle, 'b/z.ts': "import { parse } from 'node:path';\n" })).toEqual([]);
});

it('types go round', () => {
  const types = "import type { X } from './x.js';\nimport { type Y, type Z } from './x.js';\n";
  const x = "import { y } from './y.js';\n";
  expect(messages({ 'a/x.ts': x, 'a/y.ts': types })).toEqual([]);
  expect(messages({ 'a/x.ts': x, 'a/y.ts': "import { type Y, z } from './x.js';\n" })).toHaveLength(
    1,
  );
  expect(messages({ 'a/x.ts': x, 'a/y.ts': "import './x.js';\n" })).toHaveLength(1);
});
