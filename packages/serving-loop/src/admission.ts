/**
 * Which instances could ever serve a request, and why not: context, KV pool, prompts that must stay
 * whole. A request that fits nowhere is refused before the run, or rejected when it arrives; one that
 * fits somewhere is only ever routed there.
 */
import { assert } from '@astrolabe/base';
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
      hint:
        `workload convert --max-model-len ${context} leaves such requests out, ` +
        '--unservable reject counts them',
    };
  }
  // Behind a window blocks come back while a prompt is computed; a transfer needs all of them at once.
  const atOnce = role === 'decode' ? kv.blocksFor(promptTokens) : 0;
  // The last token is given out and never computed on.
  const blocks = Math.max(kv.peakBlocksFor(length - 1 + lookahead(engine)), atOnce);
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

/**
 * Tokens that the last steps of an answer compute beyond it: drafts and, where nobody knows which step
 * is the last, a whole step more. Without room for them the request would preempt itself for ever.
 */
function lookahead({ instance }: InstanceEngine): number {
  const { speculation, eosShare } = instance.engine;
  const drafts = speculation?.tokens ?? 0;
  return eosShare > 0 || drafts > 0 ? 2 * drafts + 1 : 0;
}

/** Instances by the part they play for one model. */
interface Candidates {
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

  /** Why no instance can ever serve the request; undefined when one can. */
  refusalOf(request: Request): Refusal | undefined {
    const { entry, decode } = this.forModel(request.model);
    if (entry.length === 0) {
      const { model } = request;
      const served = new Set(this.engines.map(({ instance }) => instance.model.name));
      if (model === undefined || served.has(model)) {
        return { reason: 'no instance takes prompts: all are decode instances' };
      }
      return {
        reason: `no instance serves model "${model}"`,
        hint: `served: ${[...served].join(', ')}; requests that name no model go to any`,
      };
    }
    const prefills = entry.some((engine) => engine.role === 'prefill');
    if (prefills && decode.length === 0) {
      return { reason: 'prefill instances have no decode instance to hand over to' };
    }
    const [first] = this.refusals(request, entry).blocking;
    if (first !== undefined || !prefills) return first;
    return this.refusals(request, decode).blocking[0];
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
    const { able } = this.refusals(request, engines);
    assert(able.length > 0, 'a request that was refused is routed');
    return able;
  }

  /** Which engines can serve it; reasons only when none can. */
  private refusals(
    request: Request,
    engines: readonly InstanceEngine[],
  ): { able: readonly InstanceEngine[]; blocking: readonly Refusal[] } {
    const found = engines.map((engine) => refusal(request, engine));
    const reasons = found.filter((entry) => entry !== undefined);
    if (reasons.length === 0) return { able: engines, blocking: [] };
    const able = engines.filter((_, i) => found[i] === undefined);
    return { able, blocking: able.length > 0 ? [] : reasons };
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
