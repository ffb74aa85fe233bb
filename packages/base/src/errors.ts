/**
 * The two kinds of failure. A `UserError` is about input and ends a command with exit code 2 and one
 * line; a failed `assert` is our own bug and ends it with 70 and a stack.
 */

/** Where in the user's input something is wrong: `file:line`, `file: json.path`, `graph 3 node 7`. */
export interface ErrorPlace {
  readonly at?: string;
  readonly hint?: string;
}

export class UserError extends Error {
  override readonly name = 'UserError';
  readonly at: string | undefined;
  readonly hint: string | undefined;

  constructor(message: string, place: ErrorPlace = {}) {
    super(place.at === undefined ? message : `${place.at}: ${message}`);
    this.at = place.at;
    this.hint = place.hint;
  }
}

/** Runs `body`; where it refuses something, the message begins with who asked for it. */
export function askedBy<T>(at: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { message, hint } = error;
    throw new UserError(message, hint === undefined ? { at } : { at, hint });
  }
}

/** Always on, also in production. The message is built only on failure. */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) {
    throw new Error(`assertion failed: ${typeof message === 'string' ? message : message()}`);
  }
}
