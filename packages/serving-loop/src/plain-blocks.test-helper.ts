/** For tests: KV blocks of the plain engine, in lists and by strings. */
import type { Request } from '@astrolabe/workload';

export interface PlainOptions {
  readonly asynchronous: boolean;
  readonly seats: number;
  readonly budget: number;
  readonly threshold: number;
  readonly blockSize: number;
  /** Beside the null block. */
  readonly usableBlocks: number;
  readonly caching: boolean;
  readonly chunked: boolean;
  readonly reserveWhole: boolean;
  readonly stepNs: number;
}

interface Block {
  readonly id: number;
  users: number;
  key: string | undefined;
}

/** What a request has of blocks. */
export interface PlainHolder {
  readonly request: Request;
  outputs: number;
  computed: number;
  blocks: Block[];
}

/** Tokens of its sequence that are known. */
export function known({ request, outputs }: PlainHolder): number {
  return request.promptTokens + outputs;
}

export class PlainBlocks {
  private readonly options: PlainOptions;
  private readonly free: Block[];
  /** Blocks by key, in order of becoming findable. */
  private readonly cached = new Map<string, Block[]>();

  constructor(options: PlainOptions) {
    this.options = options;
    this.free = Array.from({ length: options.usableBlocks }, (_, i) => ({
      id: i + 1,
      users: 0,
      key: undefined,
    }));
  }

  release(job: PlainHolder): void {
    for (const block of job.blocks.reverse()) {
      block.users--;
      if (block.users === 0) this.free.push(block);
    }
    job.blocks = [];
  }

  /** Equal for equal tokens: a request shares the beginning of another, all else is its own. */
  private keyOf(job: PlainHolder, block: number): string {
    const { prefix } = job.request;
    const end = (block + 1) * this.options.blockSize;
    const owner = prefix !== undefined && end <= prefix.tokens ? prefix.of : job.request.id;
    return `${owner}/${block}`;
  }

  lookUp(job: PlainHolder): Block[] {
    const hits: Block[] = [];
    if (!this.options.caching) return hits;
    const most = Math.floor((known(job) - 1) / this.options.blockSize);
    for (let i = 0; i < most; i++) {
      const found = this.cached.get(this.keyOf(job, i))?.[0];
      if (found === undefined) break;
      hits.push(found);
    }
    return hits;
  }

  allocate(
    job: PlainHolder,
    tokens: number,
    hits: Block[],
    whole: boolean,
    findable = true,
  ): boolean {
    const { blockSize } = this.options;
    const computed = job.computed + hits.length * blockSize;
    const held = job.blocks.length + hits.length;
    const idleHits = hits.filter(({ users }) => users === 0).length;
    const all = Math.max(known(job), computed + tokens);
    const missing = (upTo: number): number => Math.max(0, Math.ceil(upTo / blockSize) - held);
    if (whole && missing(all) + idleHits > this.free.length) return false;
    if (missing(computed + tokens) + idleHits > this.free.length) return false;
    for (const block of hits) {
      if (block.users++ === 0) this.free.splice(this.free.indexOf(block), 1);
    }
    const fresh = Array.from({ length: missing(computed + tokens) }, () => this.takeBlock());
    job.blocks.push(...hits, ...fresh);
    if (findable) this.makeFindable(job, Math.min(computed + tokens, known(job)));
    return true;
  }

  private takeBlock(): Block {
    const block = this.free.shift() as Block;
    if (block.key !== undefined) {
      const equal = this.cached.get(block.key) as Block[];
      equal.splice(equal.indexOf(block), 1);
      block.key = undefined;
    }
    block.users = 1;
    return block;
  }

  makeFindable(job: PlainHolder, tokens: number): void {
    if (!this.options.caching) return;
    for (let i = 0; (i + 1) * this.options.blockSize <= tokens; i++) {
      const block = job.blocks[i];
      if (block.key !== undefined) continue;
      block.key = this.keyOf(job, i);
      const equal = this.cached.get(block.key) ?? [];
      equal.push(block);
      this.cached.set(block.key, equal);
    }
  }
}
