/** Where results go: stdout for `-`, else a file that appears whole. */
import { UserError } from '@astrolabe/base';
import { writeFileWhole, writeStdout } from '@astrolabe/base/cli';

/** @param data text, or bytes, which are not written to a terminal */
export async function writeOutput(path: string, data: string | Uint8Array): Promise<void> {
  if (path !== '-') {
    writeFileWhole(path, data);
    return;
  }
  if (typeof data !== 'string' && process.stdout.isTTY) {
    throw new UserError('not writing binary data to a terminal', {
      hint: 'give -o FILE, or pipe the output',
    });
  }
  await writeStdout(data);
}
