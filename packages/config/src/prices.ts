/** Prices are of all devices or of none: a sum without some of them would be too low. */
import { UserError } from '@astrolabe/base';
import type { Instance } from './resolved-cluster.js';

/** @throws UserError an instance without a price beside others that have one */
export function checkPrices(instances: readonly Instance[]): void {
  const without = instances.find(({ deviceCostPerHour }) => deviceCostPerHour === undefined);
  if (without === undefined) return;
  if (instances.every(({ deviceCostPerHour }) => deviceCostPerHour === undefined)) return;
  throw new UserError('is missing: other instances have one', {
    at: `${without.place}.device_cost_per_hour`,
  });
}
