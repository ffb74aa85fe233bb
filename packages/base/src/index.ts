export { askedBy, assert, UserError } from './errors.js';
export { GrowableFloat64, GrowableInt32, grownFloat64, grownInt32 } from './growable.js';
export { interpolate, mergePoints, upperBound, upperSlope } from './interpolate.js';
export { nearest } from './nearest.js';
export { parseWith } from './parse.js';
export {
  type Distribution,
  distribution,
  distributionOfRepeated,
  distributionSchema,
  quantileSorted,
  type Repeated,
} from './quantile.js';
export { Random } from './random.js';
export * from './units.js';
