export { defaultFit, type FitOptions, fitProfile } from './fit/fit-profile.js';
export { CsvTable } from './importers/csv.js';
export { readV1Table, v1Info, v1Tables } from './importers/llmservingsim-v1.js';
