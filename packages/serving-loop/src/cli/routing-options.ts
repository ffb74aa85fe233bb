/** Flags that choose instances: named policies, or a user's module. */
import { resolve } from 'node:path';
import { loadUserFunction } from '@astrolabe/base/cli';
import { type Command, Option } from 'commander';
import {
  parseRoutingPolicy,
  type RoutingFunction,
  type RoutingPolicy,
  routingPolicies,
} from '../router.js';

export interface RoutingOptions {
  readonly routing: RoutingPolicy;
  /** Undefined: as `routing`. */
  readonly decodeRouting?: RoutingPolicy | undefined;
  /** File of a user's policy, in place of both. */
  readonly routerModule?: string | undefined;
  /** Requests that no instance can ever serve: refuse the run, or reject them. */
  readonly unservable?: 'refuse' | 'reject' | undefined;
}

export function addRoutingOptions(command: Command): Command {
  return command
    .option(
      '--request-routing-policy <name>',
      Object.keys(routingPolicies).join(', '),
      parseRoutingPolicy,
      'least-loaded' as RoutingPolicy,
    )
    .option(
      '--decode-routing-policy <name>',
      'choice of the decode instance behind a prefill instance (default: the same)',
      parseRoutingPolicy,
    )
    .option('--router-module <file>', 'JavaScript module whose default export is the policy')
    .addOption(
      new Option('--unservable <what>', 'requests that fit nowhere end the run, or are rejected')
        .choices(['refuse', 'reject'])
        .default('refuse'),
    );
}

export function routingOptions(raw: Record<string, never>): RoutingOptions {
  return {
    routing: raw.requestRoutingPolicy,
    decodeRouting: raw.decodeRoutingPolicy,
    routerModule: raw.routerModule,
    unservable: raw.unservable,
  };
}

/**
 * The policies of a run. A module's default export is called for every request and every choice of a
 * decode instance, as `(candidates, request, state) => position`.
 * @throws UserError a file that is no module, or has no function as its default export
 */
export async function loadRouting(options: RoutingOptions): Promise<{
  readonly routing: RoutingPolicy | RoutingFunction;
  readonly decodeRouting: RoutingPolicy | RoutingFunction | undefined;
}> {
  const { routing, decodeRouting, routerModule } = options;
  if (routerModule === undefined) return { routing, decodeRouting };
  const policy = await loadUserFunction<RoutingFunction>(
    resolve(routerModule),
    routerModule,
    'export default (candidates, request, state) => 0',
  );
  return { routing: policy, decodeRouting: undefined };
}
