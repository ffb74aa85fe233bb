/** Validation at the edge: zod's findings in one line with file and JSON path, misspelt keys hinted. */
import type { z } from 'zod';
import { UserError } from './errors.js';
import { nearest } from './nearest.js';

/**
 * Parses `value` with `schema` or throws a `UserError` naming `at` and the JSON path.
 * @param at file, or file:line
 */
export function parseWith<T>(schema: z.ZodType<T>, value: unknown, at: string): T {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]);
  const path = formatPath(issue.path);
  const place = path === '' ? at : `${at}: ${path}`;
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, issue.path);
    const guess = nearest(issue.keys[0], known) ?? onlyOneThatGoesOn(issue.keys[0], known);
    throw new UserError(`unknown key "${issue.keys[0]}"`, {
      at: place,
      hint: guess === undefined ? `known keys: ${known.join(', ')}` : `did you mean "${guess}"?`,
    });
  }
  const hint = hintOf(issue, result.error.issues);
  throw new UserError(
    describe(issue, value),
    hint === undefined ? { at: place } : { at: place, hint },
  );
}

/** Of a missing key: one beside it that looks like it but is not known, or what else is missing. */
function hintOf(issue: Issue, issues: readonly Issue[]): string | undefined {
  const key = issue.path.at(-1);
  if (issue.input !== undefined || typeof key !== 'string') return undefined;
  const parent = formatPath(issue.path.slice(0, -1));
  const unknown = issues.find(
    ({ code, path }) => code === 'unrecognized_keys' && formatPath(path) === parent,
  ) as z.core.$ZodIssueUnrecognizedKeys | undefined;
  const guess = unknown === undefined ? undefined : nearest(key, unknown.keys);
  if (guess !== undefined) return `there is "${guess}", which is no known key`;
  const others = issues.filter(
    ({ input, path }) =>
      input === undefined && path.at(-1) !== key && formatPath(path.slice(0, -1)) === parent,
  );
  if (others.length === 0) return undefined;
  return `missing, too: ${others.map(({ path }) => formatPath(path)).join(', ')}`;
}

/** `tp` for `tp_size`. */
function onlyOneThatGoesOn(key: string, known: readonly string[]): string | undefined {
  const longer = known.filter((name) => name.startsWith(key));
  return longer.length === 1 ? longer[0] : undefined;
}

type Issue = z.core.$ZodIssue;

/** A union reports one issue per option; the option that got furthest is the one meant. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue;
  let best: Issue | undefined;
  for (const option of issue.errors) {
    const inner = option[0];
    if (inner === undefined) continue;
    const found = deepest({ ...inner, path: [...issue.path, ...inner.path] } as Issue);
    if (best === undefined || found.path.length > best.path.length) best = found;
  }
  return best !== undefined && best.path.length > issue.path.length ? best : issue;
}

function describe(issue: Issue, value: unknown): string {
  const came = Number.isNaN(issue.input) ? valueAt(value, issue.path) : issue.input;
  if (
    issue.code === 'invalid_type' &&
    String(issue.expected) === 'int' &&
    typeof came === 'number'
  ) {
    return `expected an integer, got ${abbreviate(came)}`;
  }
  const expected = expectation(issue);
  if (came === undefined) return `missing, ${withoutReceived(expected)}`;
  if (came !== issue.input) return `${withoutReceived(expected)}, got ${abbreviate(came)}`;
  return expected.includes('received') ? expected : `${expected}, got ${abbreviate(came)}`;
}

/** What the issue's schema takes, in zod's words; for a union, what each option takes. */
function expectation(issue: Issue): string {
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const options = issue.errors.flatMap(([first]) => (first === undefined ? [] : [first]));
    const names = options.map((option) => expectation(option).replace(/^expected /, ''));
    return `expected ${[...new Set(names.map(withoutReceived))].join(' or ')}`;
  }
  return issue.message
    .replace(/^(Invalid input|Invalid option|Too \w+): /, '')
    .replace(/^expected record/, 'expected object');
}

function withoutReceived(message: string): string {
  return message.replace(/, received \w+$/, '');
}

/** Before coercion, which makes NaN of every text that is no number. */
function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const part of path) at = (at as Record<PropertyKey, unknown> | null | undefined)?.[part];
  return at;
}

function abbreviate(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function formatPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}

function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: unknown = schema;
  for (const part of path) at = child(unwrap(at), part);
  const shape = (unwrap(at) as { shape?: Record<string, unknown> } | undefined)?.shape;
  return shape === undefined ? [] : Object.keys(shape);
}

type Wrapped = {
  def?: { innerType?: unknown; in?: unknown; options?: unknown[]; element?: unknown };
  shape?: Record<string, unknown>;
};

function unwrap(schema: unknown): unknown {
  const def = (schema as Wrapped | undefined)?.def;
  if (def?.innerType !== undefined) return unwrap(def.innerType);
  if (def?.in !== undefined) return unwrap(def.in);
  if (def?.options !== undefined) {
    const objects = def.options.map(unwrap);
    return objects.find((option) => (option as Wrapped).shape !== undefined) ?? schema;
  }
  return schema;
}

function child(schema: unknown, part: PropertyKey): unknown {
  const wrapped = schema as Wrapped | undefined;
  if (typeof part === 'number') return wrapped?.def?.element;
  return wrapped?.shape?.[String(part)] ?? (wrapped?.def as { valueType?: unknown })?.valueType;
}
