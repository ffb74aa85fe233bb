/** Wire bytes by hand: hex text, frames, attributes, files of one graph. */
import { expect } from 'vitest';

export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

export const ascii = (text: string): string => Buffer.from(text, 'latin1').toString('hex');

/** A message behind its length. */
export function framed(message: string): string {
  const size = hex(message).length;
  return (size < 128 ? [size] : [(size & 127) | 128, size >> 7])
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .concat(message.replace(/\s+/g, ''));
}

/** Attribute `name` followed by the value's tag and bytes, as a field of a Node. */
export const attr = (name: string, value: string): string =>
  `52${framed(`0a${framed(ascii(name))}${value}`)}`;

export const metadata = framed(`0a${framed(ascii('0.0.4'))}`);
export const file = (...nodes: string[]): Uint8Array => hex(metadata + nodes.map(framed).join(''));
export const same = (a: Uint8Array, b: Uint8Array): void =>
  expect(Buffer.from(a).toString('hex')).toBe(Buffer.from(b).toString('hex'));

export const worked = hex(`
  07 0a 05 30 2e 30 2e 34
  48 12 14 61 6c 6c 5f 72 65 64 75 63 65 5f 34 6e 70 75 73 5f 31 4d 42
     18 07
     52 0e 0a 09 69 73 5f 63 70 75 5f 6f 70 d8 01 00
     52 0d 0a 09 63 6f 6d 6d 5f 74 79 70 65 48 00
     52 0f 0a 09 63 6f 6d 6d 5f 73 69 7a 65 48 80 80 40`);
