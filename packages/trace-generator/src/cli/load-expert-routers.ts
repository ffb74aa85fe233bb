/** Users' expert routers: JavaScript modules that the cluster file names. */
import { loadUserFunction } from '@astrolabe/base/cli';
import type { Cluster, Instance } from '@astrolabe/config';
import type { ExpertRouter } from '../moe/expert-loads.js';

const usage =
  'export default ({ layer, tokens, numExperts, expertsPerToken, step, group }) => counts';

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
    const at = `${place}.experts.module: ${path}`;
    routers.set(path, await loadUserFunction<ExpertRouter>(path, at, usage));
  }
  return ({ experts }) => (experts?.module === undefined ? undefined : routers.get(experts.module));
}
