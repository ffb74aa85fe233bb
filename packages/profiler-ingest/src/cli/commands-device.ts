/** Commands for what a cluster file says of a device: power constants, a DRAM or PIM channel. */
import { UserError } from '@astrolabe/base';
import { nonNegativeInteger, readText } from '@astrolabe/base/cli';
import type { Command } from 'commander';
import { readDramIni } from '../importers/dram-ini.js';
import { powerStates, readPowerLog } from '../importers/power-log.js';
import { printJson } from '../print-json.js';
import { writeOutput } from './output.js';

export function addDeviceCommands(program: Command): void {
  program
    .command('power')
    .description('three-state power model of a power log (nvidia-smi CSV, IPMI), as JSON')
    .argument('<log>', 'log file, .gz too')
    .option('--device <index>', 'of several devices in the log', nonNegativeInteger, 0)
    .action(async (log: string, options: { device: number }) => {
      const all = readPowerLog(readText(log), log);
      const readings = all.filter(({ device }) => device === options.device);
      if (readings.length === 0) {
        const known = [...new Set(all.map(({ device }) => device))].join(', ');
        throw new UserError(`no device ${options.device}`, { at: log, hint: `it has ${known}` });
      }
      await writeOutput('-', printJson(powerStates(readings)));
    });
  program
    .command('dram')
    .description('what one channel of a DRAM or PIM device file stores and delivers, as JSON')
    .argument('<ini>', 'DRAMsim3 .ini')
    .action(async (ini: string) => {
      await writeOutput('-', printJson(readDramIni(readText(ini), ini)));
    });
}
