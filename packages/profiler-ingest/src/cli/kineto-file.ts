/** Streams a Kineto trace, plain or gzip, one event at a time. */
import { UserError } from '@astrolabe/base';
import { fileError, openInput, readJson } from '@astrolabe/base/cli';
import type { ProfileInfo, ProfileTable } from '@astrolabe/profile';
import { JSONParser } from '@streamparser/json';
import type { ImportOptions } from '../importers/adapter.js';
import { readHostTrace } from '../importers/chakra-host.js';
import { KinetoCollector, type KinetoEvent } from '../importers/kineto.js';

/**
 * @param hostTrace file of a Chakra host trace of the same run
 * @throws UserError not JSON, cut short, no traceEvents
 */
export async function importKineto(
  path: string,
  names: Pick<ProfileInfo, 'hardware' | 'model' | 'dtype'>,
  options: ImportOptions,
  hostTrace: string | undefined,
): Promise<ProfileTable> {
  const host = hostTrace === undefined ? undefined : readHostTrace(readJson(hostTrace), hostTrace);
  const collector = new KinetoCollector(host);
  let device: string | undefined;
  let parser: JSONParser | undefined;
  const open = (first: Uint8Array): JSONParser => {
    // Old profilers write the bare list of events.
    const isList = /^\s*\[/.test(new TextDecoder().decode(first.subarray(0, 64)));
    const opened = new JSONParser({
      paths: isList ? ['$.*'] : ['$.traceEvents.*', '$.deviceProperties'],
      keepStack: false,
    });
    opened.onValue = ({ value, key, parent }) => {
      if (typeof key === 'number') collector.add(value as KinetoEvent, path);
      else if (key === 'deviceProperties') device = (value as { name?: string }[])[0]?.name;
      // Nothing of an array's elements is kept.
      if (Array.isArray(parent)) parent.length = 0;
    };
    return opened;
  };
  let bytes = 0;
  try {
    for await (const chunk of openInput(path)) {
      parser ??= open(chunk as Uint8Array);
      parser.write(chunk as Uint8Array);
      bytes += (chunk as Uint8Array).length;
    }
  } catch (error) {
    throw jsonError(path, bytes, error);
  }
  if (parser?.isEnded !== true) {
    throw new UserError('trace cut short', { at: `${path}: byte ${bytes}` });
  }
  const table = collector.finish(names, options, path);
  return device === undefined ? table : { ...table, info: { ...table.info, device } };
}

function jsonError(path: string, bytes: number, error: unknown): Error {
  const known = fileError(path, error);
  if (known instanceof UserError) return known;
  if ((error as NodeJS.ErrnoException).code?.startsWith('Z_') === true) {
    return new UserError('not a complete gzip file', { at: path });
  }
  const reason = (error as Error).message.replace(/\s+/g, ' ');
  return new UserError(`not valid JSON: ${reason}`, { at: `${path}: after byte ${bytes}` });
}
