/**
 * Which instances could ever serve a request, and why not: context, KV pool, prompts that must stay
 * whole. A request that fits nowhere is refused before the run; one that fits somewhere is only ever
 * routed there.
 */
import { UserError } from '@astrolabe/base';
import type { Request } from '@astrolabe/workload';
import type { InstanceEngine } from './instance-engine.js';

export interface Refusal {
  readonly reason: string;
  readonly hint?: string;
}

/** Why this engine can never serve the request; undefined when it can. */
export function refusal(request: Request, engine: InstanceEngine): Refusal | undefined {
  const { instance, kv, role } = engine;
  const { promptTokens } = request;
  const outputTokens = role === 'prefill' ? 1 : request.outputTokens;
  const length = promptTokens + outputTokens;
  const context = instance.engine.maxModelLen ?? instance.model.maxPositionEmbeddings;
  if (length > context) {
    return {
      reason:
        `prompt ${promptTokens} + output ${outputTokens} tokens exceed the ` +
        `context of ${context} tokens of ${instance.name} (${instance.model.name})`,
    };
  }
  const blocks = kv.blocksFor(length);
  if (blocks > kv.pool.numBlocks - 1) {
    return {
      reason: `needs ${blocks} KV blocks, ${instance.name} has ${kv.pool.numBlocks - 1}`,
      hint: 'raise --memory-utilization or --kv-blocks, or use more devices',
    };
  }
  const { enableChunkedPrefill, maxNumBatchedTokens } = instance.engine;
  if (!enableChunkedPrefill && promptTokens > maxNumBatchedTokens) {
    return {
      reason:
        `prompt of ${promptTokens} tokens exceeds max_num_batched_tokens ` +
        `${maxNumBatchedTokens} of ${instance.name} and chunked prefill is off`,
    };
  }
  return undefined;
}

/** Instances by the part they play for one model. */
export interface Candidates {
  /** Where requests enter: colocated and prefill instances. */
  readonly entry: readonly InstanceEngine[];
  /** Where prefill instances hand over to. */
  readonly decode: readonly InstanceEngine[];
}

export class Admission {
  private readonly engines: readonly InstanceEngine[];
  private readonly byModel = new Map<string, Candidates>();

  constructor(engines: readonly InstanceEngine[]) {
    this.engines = engines;
  }

  /** @throws UserError naming the request and why no instance can serve it */
  check(request: Request): void {
    const at = `request ${request.id}`;
    const { entry, decode } = this.forModel(request.model);
    if (entry.length === 0) {
      throw new UserError(
        request.model === undefined
          ? 'no instance takes prompts: all are decode instances'
          : `no instance serves model "${request.model}"`,
        { at },
      );
    }
    const prefills = entry.some((engine) => engine.role === 'prefill');
    if (prefills && decode.length === 0) {
      throw new UserError('prefill instances have no decode instance to hand over to', { at });
    }
    this.filter(request, entry);
    if (prefills) this.filter(request, decode);
  }

  entryFor(request: Request): readonly InstanceEngine[] {
    return this.filter(request, this.forModel(request.model).entry);
  }

  /** Decode instances of the model that the prefill instance runs. */
  decodeFor(request: Request, prefill: InstanceEngine): readonly InstanceEngine[] {
    return this.filter(request, this.forModel(prefill.instance.model.name).decode);
  }

  /** All of `engines` that can serve it, which are usually all. */
  private filter(request: Request, engines: readonly InstanceEngine[]): readonly InstanceEngine[] {
    const refusals = engines.map((engine) => refusal(request, engine));
    if (refusals.every((entry) => entry === undefined)) return engines;
    const able = engines.filter((_, i) => refusals[i] === undefined);
    if (able.length > 0) return able;
    const { reason, hint } = refusals[0] as Refusal;
    throw new UserError(reason, {
      at: `request ${request.id}`,
      ...(hint === undefined ? {} : { hint }),
    });
  }

  private forModel(model: string | undefined): Candidates {
    const key = model ?? '';
    let found = this.byModel.get(key);
    if (found === undefined) {
      const serving = this.engines.filter(
        (engine) => model === undefined || engine.instance.model.name === model,
      );
      found = {
        entry: serving.filter((engine) => engine.role !== 'decode'),
        decode: serving.filter((engine) => engine.role === 'decode'),
      };
      this.byModel.set(key, found);
    }
    return found;
  }
}
