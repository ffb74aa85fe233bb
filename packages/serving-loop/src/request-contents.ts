/**
 * What the full blocks of requests hold, for prefix lookups. Equal blocks have equal ids on every
 * engine of one block size.
 */
import { type Content, materialise, type Request } from '@astrolabe/workload';
import type { InstanceEngine } from './instance-engine.js';
import { BlockContents } from './kv/block-content.js';
import { TreeContents } from './kv/tree-content.js';
import type { RequestState } from './request-state.js';
import type { RunInputs } from './run-inputs.js';

export class RequestContents {
  private readonly content: Content;
  private readonly requests: readonly Request[];
  private readonly byBlockSize = new Map<number, (index: number) => Int32Array>();
  /** Told last: a router asks for one request and many engines of the same block size. */
  private last: RequestState | undefined;
  private lastBlockSize = 0;

  constructor(inputs: Pick<RunInputs, 'cluster' | 'requests'>) {
    this.requests = inputs.requests;
    this.content = materialise(inputs.requests, { all: hashesAll(inputs) });
  }

  /** Tells the request what its blocks hold on this engine. */
  identify(request: RequestState, { kv }: InstanceEngine): void {
    if (!kv.prefixCaching) return;
    const { blockSize } = kv;
    if (this.last === request && this.lastBlockSize === blockSize) return;
    if (!this.content.has(request.index)) return;
    let idsOf = this.byBlockSize.get(blockSize);
    if (idsOf === undefined) {
      idsOf = this.idsFor(blockSize);
      this.byBlockSize.set(blockSize, idsOf);
    }
    request.blockContents = idsOf(request.index);
    this.last = request;
    this.lastBlockSize = blockSize;
  }

  private idsFor(blockSize: number): (index: number) => Int32Array {
    const { content, requests } = this;
    if (content.tree !== undefined) {
      const tree = new TreeContents(blockSize, content.tree, (index) => {
        const { promptTokens, outputTokens } = requests[index];
        return promptTokens + outputTokens;
      });
      return (index) => tree.ofRequest(index);
    }
    const contents = new BlockContents(blockSize);
    return (index) => contents.ofSequence(content.sequence(index)!);
  }
}

/**
 * An engine hashes every request. Content nobody can share changes nothing but what pools hold, so
 * it is only followed where that is asked: with tiers below the device, or a workload with prefixes.
 */
function hashesAll({ cluster, requests }: Pick<RunInputs, 'cluster' | 'requests'>): boolean {
  return cluster.kvTiers !== undefined || requests.some(({ prefix }) => prefix !== undefined);
}
