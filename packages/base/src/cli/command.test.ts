/** Goal: help ends with examples, that of a subcommand with its own. */
import { expect, test } from 'vitest';
import { makeCommand, severalFiles } from './command.js';

const examples = [
  'tool make --size 3 > a',
  'tool check a \\',
  '    --strict',
  'tool make | tool check',
];

function helpOf(...names: readonly string[]): string {
  let written = '';
  const program = makeCommand('tool', 'does things', examples);
  program.configureOutput({
    writeOut: (text) => {
      written += text;
    },
  });
  for (const name of ['make', 'check', 'checkout']) program.command(name);
  expect(() => program.parse([...names, '--help'], { from: 'user' })).toThrow();
  return /\nExamples:\n([\s\S]*)/.exec(written)?.[1] ?? '';
}

test('of the program: all', () => {
  expect(helpOf()).toBe(
    '  $ tool make --size 3 > a\n  $ tool check a \\\n      --strict\n  $ tool make | tool check\n',
  );
});

test('of a subcommand: where it occurs, whole; none at all without any', () => {
  expect(helpOf('check')).toBe('  $ tool check a \\\n      --strict\n  $ tool make | tool check\n');
  expect(helpOf('checkout')).toBe('');
});

test('a folder or a prefix is not stdout', () => {
  expect(severalFiles('./-')).toBe('./-');
  expect(() => severalFiles('-')).toThrow('do not go to stdout');
});
