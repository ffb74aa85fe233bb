/**
 * Finds which earlier request shares the longest run of leading content blocks. A trie: a node stands
 * for a whole prefix, and remembers the first request that had it.
 */
import type { RequestId } from './request.js';

interface SharedPrefix {
  readonly of: RequestId;
  readonly blocks: number;
}

export class PrefixIndex {
  private readonly nodes = new Map<string, number>();
  private readonly owners: RequestId[] = [];

  /**
   * Records a request's blocks and returns the longest earlier match.
   * @param blocks one key per block: equal keys mean equal content
   */
  add(id: RequestId, blocks: Iterable<string | number | bigint>): SharedPrefix | undefined {
    let node = -1;
    let depth = 0;
    let match: SharedPrefix | undefined;
    for (const block of blocks) {
      const key = `${node}:${block}`;
      const known = this.nodes.get(key);
      depth++;
      if (known === undefined) {
        node = this.owners.push(id) - 1;
        this.nodes.set(key, node);
      } else {
        node = known;
        match = { of: this.owners[node], blocks: depth };
      }
    }
    return match;
  }
}
