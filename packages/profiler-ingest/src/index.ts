export { differences } from './diff.js';
export { fitLink, linkShapes } from './fit/fit-links.js';
export { importCsvFiles } from './importers/import-csv.js';
export { sizeTableOf } from './links.js';
