import { defineConfig } from 'vitest/config';

// Tests run on the sources of every package, without a build, through the export condition.
const conditions = ['@astrolabe/source', 'module', 'node', 'development|production'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    testTimeout: 180_000,
    setupFiles: [new URL('./test/setup.ts', import.meta.url).pathname],
    reporters: [
      'default',
      new URL('./tools/src/closing-line-reporter.ts', import.meta.url).pathname,
    ],
  },
});
