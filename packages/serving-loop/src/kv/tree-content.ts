/**
 * The ids of `BlockContents` for content that is a prefix tree and nothing else, without a look at any
 * token: a block belongs to the first request that has a token of its own in it, and others have it by
 * descent alone. Takes four bytes a block, where tokens take four each.
 */
import { ownersOfBlocks, type PrefixTree } from '@astrolabe/workload';
import { noContent } from './block-content.js';

export class TreeContents {
  private readonly blockSize: number;
  private readonly tree: PrefixTree;
  /** Tokens of each request, prompt and output. */
  private readonly tokensOf: (index: number) => number;
  /** Of each request those blocks that are not its parent's, `noContent` until somebody asks. */
  private readonly own: Int32Array[] = [];
  private numIds = 0;

  constructor(blockSize: number, tree: PrefixTree, tokensOf: (index: number) => number) {
    this.blockSize = blockSize;
    this.tree = tree;
    this.tokensOf = tokensOf;
  }

  /** Ids of all full blocks of a request, new ones in order of their first mention. */
  ofRequest(index: number): Int32Array {
    const { tree, blockSize } = this;
    const ids = new Int32Array(this.blocksIn(this.tokensOf(index)));
    for (const { owner, first, end } of ownersOfBlocks(tree, index, ids.length, blockSize)) {
      const own = this.ownOf(owner, first);
      for (let block = first; block < end; block++) {
        if (own[block - first] === noContent) own[block - first] = this.numIds++;
        ids[block] = own[block - first];
      }
    }
    return ids;
  }

  private ownOf(owner: number, first: number): Int32Array {
    const blocks = this.blocksIn(this.tokensOf(owner)) - first;
    this.own[owner] ??= new Int32Array(blocks).fill(noContent);
    return this.own[owner];
  }

  private blocksIn(tokens: number): number {
    return Math.floor(tokens / this.blockSize);
  }
}
