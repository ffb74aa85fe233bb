/** The shipped calibration, a user's, or none. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseWith } from '@astrolabe/base';
import { readJson } from '@astrolabe/base/cli';
import { type Calibration, calibrationSchema, noCalibration } from '../calibration.js';

const shipped = fileURLToPath(new URL('../../../../profiles/calibration.json', import.meta.url));

/**
 * @param given a file, `none`, or `shipped` or undefined for the shipped one; or what is loaded already
 * @throws UserError naming file and JSON path
 */
export function loadCalibration(given: string | Calibration | undefined): Calibration {
  if (typeof given === 'object') return given;
  if (given === 'none') return noCalibration;
  const own = given === undefined || given === 'shipped';
  if (own && !existsSync(shipped)) return noCalibration;
  const file = own ? shipped : given;
  return parseWith(calibrationSchema, readJson(file), file);
}
