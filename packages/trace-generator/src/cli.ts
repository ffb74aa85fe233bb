/** `trace-generator`: iterations on stdin, Chakra execution graphs on stdout. */
import { fileURLToPath } from 'node:url';
import { runMain } from '@astrolabe/base/cli';
import { convert } from './cli/convert.js';
import { generatorCommand, generatorOptions } from './cli/options.js';

const shippedProfiles = fileURLToPath(new URL('../../../profiles', import.meta.url));

await runMain('trace-generator', async () => {
  const command = generatorCommand();
  command.parse();
  await convert(generatorOptions(command, shippedProfiles));
});
