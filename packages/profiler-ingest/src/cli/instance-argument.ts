/** `H200:tp=4:decode`: the instances of a command line. */
import { UserError } from '@astrolabe/base';
import type { Device } from '@astrolabe/profile';
import type { SheetInstance } from '../sheet-cluster.js';
import { deviceOf } from './devices.js';

const form = 'expected DEVICE[:tp=N][:pp=N][:ep=N][:count=N][:prefill or :decode]';

/** @throws UserError a word of another form, an unknown device, two sheets of one name */
export function sheetInstances(words: readonly string[]): SheetInstance[] {
  const sheets = new Map<string, Device>();
  const known = (name: string): Device => {
    const device = sheets.get(name) ?? deviceOf(name);
    sheets.set(name, device);
    return device;
  };
  const instances = words.flatMap((word) => instancesOf(word, known));
  const byName = new Map<string, string>();
  for (const [asked, { name }] of sheets) {
    const other = byName.get(name);
    if (other !== undefined) {
      throw new UserError(`${other} and ${asked} are both called ${name}`, {
        hint: 'profiles and power go by that name: change "name" in one data sheet',
      });
    }
    byName.set(name, asked);
  }
  return instances;
}

function instancesOf(text: string, deviceNamed: (name: string) => Device): SheetInstance[] {
  const [name, ...parts] = text.split(':');
  const numbers = new Map<string, number>();
  let role: SheetInstance['role'];
  for (const part of parts) {
    if (part === 'prefill' || part === 'decode') {
      if (role !== undefined) throw new UserError('two roles', { at: text, hint: form });
      role = part;
      continue;
    }
    const match = /^(tp|pp|ep|count)=([1-9]\d{0,3})$/.exec(part);
    if (match === null) throw new UserError(`"${part}" is no option`, { at: text, hint: form });
    if (numbers.has(match[1])) throw new UserError(`${match[1]} twice`, { at: text });
    numbers.set(match[1], Number(match[2]));
  }
  const instance: SheetInstance = {
    text,
    device: deviceNamed(name),
    tp: numbers.get('tp') ?? 1,
    pp: numbers.get('pp') ?? 1,
    ep: numbers.get('ep'),
    role,
  };
  return Array.from({ length: numbers.get('count') ?? 1 }, () => instance);
}
