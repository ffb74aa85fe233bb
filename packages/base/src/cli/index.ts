export { formatPath, parseWith } from '../parse.js';
export {
  booleanFlag,
  fraction,
  helpExamples,
  makeCommand,
  nonNegativeInteger,
  nonNegativeNumber,
  positiveInteger,
  positiveNumber,
  version,
} from './command.js';
export {
  commitWhole,
  discardWhole,
  fileError,
  hashFile,
  isStdoutClosed,
  type Line,
  openInput,
  parseJsonLine,
  readBytes,
  readJson,
  readLines,
  readNdjson,
  readText,
  StdoutBuffer,
  type WholeFile,
  wholeFile,
  writeFileWhole,
  writeFully,
  writeStdout,
} from './io.js';
export { exitCodes, isBrokenPipe, runMain, Verdict } from './main.js';
export { Progress } from './progress.js';
