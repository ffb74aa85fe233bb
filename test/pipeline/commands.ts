/**
 * The real commands in a temporary folder. They run from `dist`, which `npm test` builds first.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const isBuilt = existsSync(join(root, 'packages/serving-loop/dist/cli.js'));

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The script behind a command of ours. */
export function binOf(command: string): string {
  const owner = command === 'validate' ? 'report' : command;
  return join(root, 'packages', owner, 'bin', `${command}.js`);
}

/** Runs one of our commands. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  return launch(process.execPath, [binOf(command), ...args], options);
}

/** Runs a line as a user's shell would, from the project's root, our commands on the path. */
export function shell(line: string, options: RunOptions = {}): Promise<Outcome> {
  const path = [join(root, 'node_modules/.bin'), process.env.PATH ?? ''].join(delimiter);
  return launch('bash', ['-o', 'pipefail', '-c', line], { ...options, env: { PATH: path } });
}

export function launch(
  program: string,
  args: readonly string[],
  { input, cwd = root, env = {} }: RunOptions = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env } });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const text = Buffer.concat(stderr).toString();
      resolve({ code, signal, stdout: Buffer.concat(stdout), stderr: text });
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
  });
}

/** A folder that goes when the body is done. */
export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'astrolabe-test-'));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Contents of a folder by relative path, to compare folders byte for byte. */
export function contents(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (place: string): void => {
    for (const entry of readdirSync(place, { withFileTypes: true })) {
      const path = join(place, entry.name);
      if (entry.isDirectory()) walk(path);
      else found[relative(folder, path)] = readFileSync(path, 'latin1');
    }
  };
  walk(folder);
  return found;
}

/** Whether a program is on the path. */
export function has(program: string): boolean {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .some((folder) => existsSync(join(folder, program)));
}
