export {
  booleanFlag,
  formatOption,
  fraction,
  inputsArgument,
  isOurs,
  makeCommand,
  nonNegativeInteger,
  nonNegativeNumber,
  ourName,
  positiveInteger,
  positiveNumber,
  severalFiles,
  version,
} from './command.js';
export {
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
  writeStdout,
} from './io.js';
export { runMain, Verdict } from './main.js';
export { Progress } from './progress.js';
export { loadUserFunction } from './user-function.js';
export {
  commitWhole,
  discardWhole,
  makeFolder,
  type WholeFile,
  wholeFile,
  writeFileWhole,
  writeFully,
} from './whole-file.js';
