/** `npm run figure -- N`: figures 5 to 10 of the LLMServingSim 2.0 paper, as tables and plots. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseWith, UserError } from '@astrolabe/base';
import { makeCommand, readJson, runMain, writeFileWhole, writeStdout } from '@astrolabe/base/cli';
import { Option } from 'commander';
import { renderSvg } from '../../html/chart.js';
import { manifestSchema } from '../../validate/manifest.js';
import { type Figure, figures, type Source } from './figures.js';

/** Beside the project, where the reference data lie. */
const usualManifest = fileURLToPath(
  new URL('../../../../../../shared/refdata/cases.json', import.meta.url),
);

interface Flags {
  manifest: string;
  output: string;
  calibration?: string;
}

await runMain('figure', async () => {
  const command = makeCommand('figure', 'Reproduces a figure of the LLMServingSim 2.0 paper', [
    'npm run figure -- 8',
    'npm run figure -- 10 --output out/figures',
  ])
    .argument('<number>', `one of ${Object.keys(figures).join(', ')}`)
    .addOption(
      new Option('--manifest <file>', 'cases with the measurements').default(
        usualManifest,
        '../shared/refdata/cases.json',
      ),
    )
    .option('--output <dir>', 'where figure-N.svg and figure-N.md go', join('out', 'figures'))
    .option(
      '--calibration <file>',
      'fitted step constants; none = nothing fitted (default: shipped)',
    );
  command.parse();
  const flags = command.opts<Flags>();
  const number = command.args[0];
  const make = figures[number];
  if (make === undefined) {
    throw new UserError(`no figure ${number}`, {
      hint: `there is ${Object.keys(figures).join(', ')}`,
    });
  }
  if (!existsSync(flags.manifest)) throw new UserError('no such file', { at: flags.manifest });
  const { cases } = parseWith(manifestSchema, readJson(flags.manifest), flags.manifest);
  const source: Source = {
    cases,
    options: {
      folder: dirname(flags.manifest),
      calibration: flags.calibration,
      profiles: undefined,
    },
  };
  const figure: Figure = await make(source);
  const text = `# Figure ${number}: ${figure.title}\n\n${figure.text}\n`;
  mkdirSync(flags.output, { recursive: true });
  writeFileWhole(join(flags.output, `figure-${number}.md`), text);
  const svg = renderSvg(figure.charts);
  if (svg !== '') writeFileWhole(join(flags.output, `figure-${number}.svg`), svg);
  await writeStdout(text);
});
