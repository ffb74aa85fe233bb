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
  /** Tokens that a group's layers attend to, those without a window first; absent: one without. */
  readonly windows?: readonly number[];
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
  /** Of every group, by place in the sequence; undefined: there is none any more. */
  blocks: Held[][];
}

type Held = Block | undefined;

/** In place of a block that is not looked for. */
const nothing: Block = { id: 0, users: 1, key: undefined };

const isBlock = (held: Held): held is Block => held !== undefined;

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
    for (const held of job.blocks) this.giveBack(held.reverse());
    job.blocks = [];
  }

  private giveBack(held: readonly Held[]): void {
    for (const block of held.filter(isBlock)) {
      block.users--;
      if (block.users === 0) this.free.push(block);
    }
  }

  private get windows(): readonly number[] {
    return this.options.windows ?? [Number.POSITIVE_INFINITY];
  }

  /** Equal for equal tokens: a request shares the beginning of another, all else is its own. */
  private keyOf(job: PlainHolder, block: number, group: number): string {
    const { prefix } = job.request;
    const end = (block + 1) * this.options.blockSize;
    const owner = prefix !== undefined && end <= prefix.tokens ? prefix.of : job.request.id;
    return `${owner}/${block}/${group}`;
  }

  /** The longest prefix of which every group has what its next token attends to, one after another. */
  lookUp(job: PlainHolder): Held[][] {
    const { blockSize } = this.options;
    const known = job.request.promptTokens + job.outputs;
    const most = this.options.caching ? Math.floor((known - 1) / blockSize) : 0;
    for (let length = most; length > 0; length--) {
      const hits = this.windows.map((window, group) =>
        Array.from({ length }, (_, i): Held => {
          // A block is needed when its last token is within the window of the next one; of the block
          // just before there must be something to go on from, whatever the window.
          const needed = i === length - 1 || (i + 1) * blockSize > length * blockSize - window + 1;
          return needed ? this.cached.get(this.keyOf(job, i, group))?.[0] : nothing;
        }),
      );
      if (hits.flat().every((held) => held !== undefined)) {
        return hits.map((row) => row.map((held) => (held === nothing ? undefined : held)));
      }
    }
    return this.windows.map(() => []);
  }

  allocate(
    job: PlainHolder,
    tokens: number,
    hits: Held[][],
    whole: boolean,
    findable = true,
  ): boolean {
    const { blockSize, budget } = this.options;
    if (job.blocks.length === 0) job.blocks = this.windows.map(() => []);
    this.windows.forEach((window, group) => {
      const passed = job.blocks[group].slice(0, blocksPassed(job.computed, window, blockSize));
      this.giveBack([...passed].reverse());
      job.blocks[group].fill(undefined, 0, passed.length);
    });
    const found = hits.flat().filter(isBlock);
    const idle = found.filter(({ users }) => users === 0).length;
    const computed = job.computed + (hits[0]?.length ?? 0) * blockSize;
    const missing = (upTo: number, group: number): number =>
      Math.max(
        0,
        Math.ceil(upTo / blockSize) - job.blocks[group].length - (hits[group]?.length ?? 0),
      );
    const sum = (of: (window: number, group: number) => number): number =>
      this.windows.map(of).reduce((all, one) => all + one, 0);
    const wanted = Math.max(known(job), computed + tokens);
    const forAll = sum((window, group) => {
      const held = [...job.blocks[group], ...(hits[group] ?? [])].filter(isBlock).length;
      const most = Math.ceil((window - 1 + budget) / blockSize) + 1;
      return Math.max(0, Math.min(missing(wanted, group), most - held));
    });
    if (whole && forAll + idle > this.free.length) return false;
    if (sum((_, group) => missing(computed + tokens, group)) + idle > this.free.length)
      return false;
    for (const block of found) {
      if (block.users++ === 0) this.free.splice(this.free.indexOf(block), 1);
    }
    this.windows.forEach((_, group) => {
      const fresh = Array.from({ length: missing(computed + tokens, group) }, () =>
        this.takeBlock(),
      );
      job.blocks[group].push(...(hits[group] ?? []), ...fresh);
    });
    if (findable) this.makeFindable(job, Math.min(computed + tokens, known(job)));
    return true;
  }

  private takeBlock(): Block {
    const block = this.free.shift() as Block;
    if (block.key !== undefined) {
      const equal = this.cached.get(block.key) as Block[];
      equal.splice(equal.indexOf(block), 1);
      if (equal.length === 0) this.cached.delete(block.key);
      block.key = undefined;
    }
    block.users = 1;
    return block;
  }

  makeFindable(job: PlainHolder, tokens: number): void {
    if (!this.options.caching) return;
    job.blocks.forEach((held, group) => {
      for (let i = 0; (i + 1) * this.options.blockSize <= tokens; i++) {
        const block = held[i];
        if (block === undefined || block.key !== undefined) continue;
        block.key = this.keyOf(job, i, group);
        this.cached.set(block.key, [...(this.cached.get(block.key) ?? []), block]);
      }
    });
  }
}

/** Leading blocks of which no token is seen by one that comes after so many. */
function blocksPassed(computed: number, window: number, blockSize: number): number {
  let blocks = 0;
  while ((blocks + 1) * blockSize <= computed - window + 1) blocks++;
  return blocks;
}
