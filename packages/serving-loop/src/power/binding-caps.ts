/** Which power caps a run's devices reach, for readings and the trust card. */
import { type Cluster, npuHardware } from '@astrolabe/config';
import { computeSlowdown, powerCapOf } from '@astrolabe/trace-generator';
import { z } from 'zod';

/** A cap below what the device draws at full clock: its operators were slowed by a model. */
export const bindingCapSchema = z.strictObject({
  node: z.number(),
  hardware: z.string(),
  capW: z.number(),
  activeW: z.number().describe('modelled, without a cap'),
  computeSlowdown: z
    .number()
    .describe('time of an operator without memory traffic over its time at full clock'),
});
export type BindingCap = Readonly<z.infer<typeof bindingCapSchema>>;

/** One for each kind of device of each node that an instance uses. */
export function bindingCaps(cluster: Cluster): BindingCap[] {
  const found = new Map<string, BindingCap>();
  for (const instance of cluster.instances) {
    for (const hardware of new Set(npuHardware(instance))) {
      const cap = powerCapOf(cluster, { ...instance, hardware });
      if (cap === undefined) continue;
      const { node } = instance;
      const { capW, activeW } = cap;
      const slowdown = computeSlowdown(cap);
      found.set(`${node} ${hardware}`, {
        node,
        hardware,
        capW,
        activeW,
        computeSlowdown: slowdown,
      });
    }
  }
  return [...found.values()];
}
