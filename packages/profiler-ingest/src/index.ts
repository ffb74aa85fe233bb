export { differenceLines, differences, type OperatorDifference } from './diff.js';
export { fitLink, linkShapes } from './fit/fit-links.js';
export { defaultFit, type FitOptions, fitProfile } from './fit/fit-profile.js';
export { CsvTable } from './importers/csv.js';
export { csvAdapters, type InputFile, importCsvFiles } from './importers/import-csv.js';
export { readV1Table, v1Info, v1Tables } from './importers/llmservingsim-v1.js';
export { inspectTable } from './inspect.js';
export { sizeTableOf } from './links.js';
