/** Whose profile the tables of tests are. */
export const exampleInfo = {
  hardware: 'GPU',
  model: 'org/Model',
  dtype: 'bf16',
  source: 'made up',
  measurement: 'kernel',
} as const;
