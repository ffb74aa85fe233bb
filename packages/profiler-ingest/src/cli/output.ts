/** Writing results: whole files, or stdout for `-`. */
import { StdoutBuffer, writeFileWhole, writeStdout } from '@astrolabe/base/cli';

export async function writeOutput(path: string, data: string | Uint8Array): Promise<void> {
  if (path === '-') await writeStdout(data);
  else writeFileWhole(path, data);
}

export async function printLines(lines: Iterable<string>): Promise<void> {
  const out = new StdoutBuffer();
  for (const line of lines) await out.line(line);
  await out.flush();
}
