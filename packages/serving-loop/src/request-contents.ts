/**
 * What the full blocks of requests hold, for prefix lookups. Equal blocks have equal ids on every
 * engine of one block size.
 */
import { type Content, materialise } from '@astrolabe/workload';
import type { InstanceEngine } from './instance-engine.js';
import { BlockContents } from './kv/block-content.js';
import type { RequestState } from './request-state.js';
import type { RunInputs } from './run-inputs.js';

export class RequestContents {
  private readonly content: Content;
  private readonly byBlockSize = new Map<number, BlockContents>();
  /** Told last: a router asks for one request and many engines of the same block size. */
  private last: RequestState | undefined;
  private lastBlockSize = 0;

  constructor(inputs: Pick<RunInputs, 'cluster' | 'requests'>) {
    this.content = materialise(inputs.requests, { all: hashesAll(inputs) });
  }

  /** Tells the request what its blocks hold on this engine. */
  identify(request: RequestState, { kv }: InstanceEngine): void {
    if (!kv.prefixCaching) return;
    const { blockSize } = kv;
    if (this.last === request && this.lastBlockSize === blockSize) return;
    const sequence = this.content.sequence(request.index);
    if (sequence === undefined) return;
    let contents = this.byBlockSize.get(blockSize);
    if (contents === undefined) {
      contents = new BlockContents(blockSize);
      this.byBlockSize.set(blockSize, contents);
    }
    request.blockContents = contents.ofSequence(sequence);
    this.last = request;
    this.lastBlockSize = blockSize;
  }
}

/**
 * An engine hashes every request. Content nobody can share changes nothing but what pools hold, so
 * it is only followed where that is asked: with tiers below the device, or a workload with prefixes.
 */
function hashesAll({ cluster, requests }: Pick<RunInputs, 'cluster' | 'requests'>): boolean {
  return cluster.kvTiers !== undefined || requests.some(({ prefix }) => prefix !== undefined);
}
