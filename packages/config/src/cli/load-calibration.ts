/** The shipped calibration, a user's, or none. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseWith, readJson } from '@astrolabe/base/cli';
import { type Calibration, calibrationSchema, noCalibration } from '../calibration.js';

const shipped = fileURLToPath(new URL('../../../../profiles/calibration.json', import.meta.url));

/**
 * @param path a file, `none`, or `shipped` or undefined for the shipped one
 * @throws UserError naming file and JSON path
 */
export function loadCalibration(path: string | undefined): Calibration {
  if (path === 'none') return noCalibration;
  const own = path === undefined || path === 'shipped';
  if (own && !existsSync(shipped)) return noCalibration;
  const file = own ? shipped : path;
  return parseWith(calibrationSchema, readJson(file), file);
}
