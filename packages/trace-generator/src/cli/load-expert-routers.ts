/** Users' expert routers: JavaScript modules that the cluster file names. */
import { pathToFileURL } from 'node:url';
import { UserError } from '@astrolabe/base';
import type { Cluster, Instance } from '@astrolabe/config';
import type { ExpertRouter } from '../moe/expert-loads.js';

/**
 * For `createTraceGenerator`'s `expertRouterFor`.
 * @throws UserError a file that is no module, or has no function as its default export
 */
export async function loadExpertRouters(
  cluster: Cluster,
): Promise<(instance: Instance) => ExpertRouter | undefined> {
  const routers = new Map<string, ExpertRouter>();
  for (const { experts, place } of cluster.instances) {
    const path = experts?.module;
    if (experts?.routing !== 'module' || path === undefined || routers.has(path)) continue;
    routers.set(path, await loadRouter(path, `${place}.experts.module: ${path}`));
  }
  return ({ experts }) => (experts?.module === undefined ? undefined : routers.get(experts.module));
}

async function loadRouter(path: string, at: string): Promise<ExpertRouter> {
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(path).href);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot be loaded: ${reason}`, { at });
  }
  if (typeof module.default !== 'function') {
    throw new UserError('has no function as its default export', {
      at,
      hint: 'export default ({ layer, tokens, numExperts, expertsPerToken, step, group }) => counts',
    });
  }
  return module.default as ExpertRouter;
}
