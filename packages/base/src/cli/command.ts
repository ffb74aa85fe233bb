/** Commander set up as every command here wants it: throws instead of exiting, rejects extras. */
import { Argument, Command, InvalidArgumentError, Option } from 'commander';

export const version = '0.1.0';

const project = 'astrolabe ';
/** How our programs call themselves on the streams between them. */
export const ourName = `${project}${version}`;

/** Whether a program that calls itself so is one of ours, of any version. */
export function isOurs(name: string | undefined): boolean {
  return name?.startsWith(project) === true;
}

export function makeCommand(
  name: string,
  description: string,
  examples: readonly string[],
): Command {
  const command = new Command(name)
    .description(description)
    .version(version)
    .exitOverride()
    .allowExcessArguments(false)
    .showHelpAfterError('(see --help)')
    // In a pipeline nothing else says who complains.
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, `${name}: `)),
    });
  command.addHelpText('afterAll', ({ command: shown }) =>
    helpExamples(shown === command ? examples : examplesOf(`${name} ${shown.name()}`, examples)),
  );
  return command;
}

/** Of a subcommand. A line that begins with a blank goes on with the one before. */
function examplesOf(words: string, examples: readonly string[]): string[] {
  const named = new RegExp(`\\b${words}\\b`);
  const whole: string[][] = [];
  for (const line of examples) {
    if (line.startsWith(' ')) whole.at(-1)?.push(line);
    else whole.push([line]);
  }
  return whole.filter((lines) => lines.some((line) => named.test(line))).flat();
}

function helpExamples(examples: readonly string[]): string {
  if (examples.length === 0) return '';
  const lines = examples.map((line) => (line.startsWith(' ') ? `  ${line}` : `  $ ${line}`));
  return `\nExamples:\n${lines.join('\n')}`;
}

/** `--format`, alike in every command; the first choice is the default. */
export function formatOption(choices: readonly string[], what = 'output format'): Option {
  return new Option('--format <name>', what).choices(choices).default(choices[0]);
}

/** Operands that are files or, by default, stdin. */
export function inputsArgument(name: string, what: string): Argument {
  return new Argument(`[${name}...]`, what).default(['-'], '-');
}

/** Argument parsers for commander options. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError('expected an integer >= 1');
  }
  return value;
}

export function nonNegativeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0 || text.trim() === '') {
    throw new InvalidArgumentError('expected an integer >= 0');
  }
  return value;
}

export function positiveNumber(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('expected a number > 0');
  }
  return value;
}

export function nonNegativeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0 || text.trim() === '') {
    throw new InvalidArgumentError('expected a number >= 0');
  }
  return value;
}

export function fraction(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0 || value > 1) {
    throw new InvalidArgumentError('expected a number in (0, 1]');
  }
  return value;
}

/** A folder or a prefix of files, where `-` cannot be stdout. */
export function severalFiles(text: string): string {
  if (text !== '-') return text;
  throw new InvalidArgumentError(
    'several files are written, which do not go to stdout; ./- is a name',
  );
}

/** `true`, `false`, `on`, `off`, `yes`, `no`, `1`, `0`. */
export function booleanFlag(text: string): boolean {
  const value = text.toLowerCase();
  if (['true', 'on', 'yes', '1'].includes(value)) return true;
  if (['false', 'off', 'no', '0'].includes(value)) return false;
  throw new InvalidArgumentError('expected true or false');
}
