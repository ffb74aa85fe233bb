/** Flags that switch the generator's terms, for every command that generates graphs. */
import { type Command, InvalidArgumentError } from 'commander';
import { parseTerms, type TermSwitches, termNames } from '../terms.js';

/** All others are on by default. */
const asCalibrated = termNames.filter((name) => parseTerms()[name] === undefined);

export function addTermOptions(command: Command): Command {
  return command
    .option(
      '--without <term>',
      `switches a term off, repeatable: ${termNames.join(', ')}`,
      switchTerm(false),
    )
    .option(
      '--with <term>',
      `switches a term on, repeatable (default of ${asCalibrated.join(', ')}: as calibrated)`,
      switchTerm(true),
    );
}

interface Raw {
  readonly without?: TermSwitches;
  readonly with?: TermSwitches;
}

/** From commander's record; a term given to both is on. */
export function termOptions(raw: Raw): TermSwitches {
  return { ...raw.without, ...raw.with };
}

/** Collects the switches of repeated flags. */
function switchTerm(on: boolean) {
  return (text: string, before: TermSwitches = {}): TermSwitches => {
    const term = termNames.find((name) => name === text);
    if (term === undefined) {
      throw new InvalidArgumentError(`expected one of ${termNames.join(', ')}`);
    }
    return { ...before, [term]: on };
  };
}
