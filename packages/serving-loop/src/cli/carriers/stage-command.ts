/**
 * `--trace-generator CMD` and `--system-simulator CMD`: a command line as words. Quotes and
 * backslashes work as in a shell; pipes, redirections and variables do not, because there is no shell.
 */
import { UserError } from '@astrolabe/base';
import { parse } from 'shell-quote';

/** @throws UserError an empty command, or one that needs a shell */
export function splitCommand(text: string, flag: string): readonly string[] {
  const words: string[] = [];
  for (const part of parse(text, (name) => `$${name}`)) {
    if (typeof part === 'string') words.push(part);
    else if ('op' in part && part.op === 'glob') words.push(part.pattern);
    else {
      const what = 'op' in part ? part.op : `#${part.comment}`;
      throw new UserError(`"${what}" needs a shell, and stages are started without one`, {
        at: flag,
        hint: `say it yourself: ${flag} "sh -c '...'"`,
      });
    }
  }
  if (words.length === 0 || words[0] === '') throw new UserError('empty command', { at: flag });
  return words;
}
