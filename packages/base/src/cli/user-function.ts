/** Functions that users give as JavaScript modules: what they throw is theirs, not a bug of ours. */
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { UserError } from '../errors.js';

type AnyFunction = (...args: never[]) => unknown;

/**
 * The default export of a module.
 * @param at where the user named it, for messages
 * @param hint how the function is called
 * @throws UserError a file that is no module, has no function as its default export, or, when called, throws
 */
export async function loadUserFunction<F extends AnyFunction>(
  path: string,
  at: string,
  hint: string,
): Promise<F> {
  if (!existsSync(path)) throw new UserError('no such file', { at });
  const { href } = pathToFileURL(path);
  let module: { default?: unknown };
  try {
    module = await import(href);
  } catch (error) {
    throw new UserError(`cannot be loaded: ${textOf(error)}`, { at });
  }
  const { default: given } = module;
  if (typeof given !== 'function') {
    throw new UserError('has no function as its default export', { at, hint });
  }
  const guarded = (...args: never[]): unknown => {
    try {
      return given(...args);
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`throws ${textOf(error)}`, { at: placeOf(error, href, at) });
    }
  };
  return guarded as F;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** With line and column, where the stack says so. */
function placeOf(error: unknown, href: string, at: string): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const start = stack.indexOf(`${href}:`);
  const place = start < 0 ? null : /^:\d+:\d+/.exec(stack.slice(start + href.length));
  return place === null ? at : `${at}${place[0]}`;
}
