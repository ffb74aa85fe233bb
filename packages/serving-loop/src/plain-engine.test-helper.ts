/**
 * For tests: an engine as plain as can be, after vLLM's description alone (vllm.md 1.2, 2 and 4 of the
 * design notes), on a machine where every step takes one time. Lists and strings instead of the
 * counters and indices of the real one, so that a slip in those shows. First come first served.
 */
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

interface Job {
  readonly request: Request;
  outputs: number;
  computed: number;
  placeholders: number;
  state: 'waiting' | 'running' | 'preempted' | 'done';
  blocks: Block[];
  preemptions: number;
  firstHits: number;
  firstNs: number;
  lastNs: number;
}

interface Entry {
  readonly job: Job;
  readonly tokens: number;
  readonly context: number;
  readonly samples: boolean;
}

interface Step {
  readonly entries: readonly Entry[];
  readonly endNs: number;
}

export interface PlainRun {
  /** Start, then request:new+context tokens. */
  readonly steps: string[];
  /** First token, last token, preemptions, prefix hits at first admission. */
  readonly requests: number[][];
}

/** What an engine waits for: a time, or all engines' launch of its next step. */
type Wait = { readonly untilNs: number } | { readonly entries: Entry[] };

/** How a wait ended. */
interface Resumed {
  readonly nowNs: number;
  /** When the step ends that was launched. */
  readonly endNs: number;
}

/**
 * Ranks that launch every step together (vllm.md 8): each is a loop of its own, which meets the others
 * at every launch. A rank without work launches dummies, which nobody waits for. When all wait with
 * dummies the group stands still until a request comes.
 * @param requests of each rank
 */
export function runPlainGroup(
  requests: readonly (readonly Request[])[],
  options: PlainOptions,
): PlainRun[] {
  const engines = requests.map((own) => new PlainEngine(own, options));
  const loops = engines.map((engine) => engine.loop(engines.length > 1));
  const waits = loops.map((loop) => loop.next().value as Wait);
  let nowNs = 0;
  let endNs = -1;
  const resume = (rank: number): void => {
    waits[rank] = loops[rank].next({ nowNs, endNs }).value as Wait;
  };
  for (let turns = 0; engines.some((engine) => !engine.isDone); turns++) {
    if (turns > 10_000) throw new Error('the plain engines are stuck');
    const due = waits.findIndex((wait) => 'untilNs' in wait && wait.untilNs <= nowNs);
    if (due >= 0) {
      resume(due);
      continue;
    }
    const launches = waits.flatMap((wait) => ('entries' in wait ? [wait.entries] : []));
    if (launches.length === waits.length) {
      const works = launches.some((entries) => entries.length > 0);
      const isAsked = engines.some((engine) => engine.isAsked(nowNs));
      // Long after the last step the dummies are not launched, they are given up.
      const stopped = !works && (engines.length === 1 || endNs < nowNs);
      if (works || isAsked) {
        if (!stopped) {
          const startNs = Math.max(nowNs, endNs);
          engines.forEach((engine, rank) => {
            engine.record(startNs, launches[rank], launches);
          });
          endNs = startNs + options.stepNs;
        }
        for (let rank = 0; rank < engines.length; rank++) resume(rank);
        continue;
      }
    }
    const next = [
      ...waits.flatMap((wait) => ('untilNs' in wait ? [wait.untilNs] : [])),
      ...engines.map((engine) => engine.nextArrivalNs(nowNs)),
    ];
    nowNs = Math.min(...next);
  }
  return engines.map((engine) => engine.result());
}

class PlainEngine {
  private readonly options: PlainOptions;
  private readonly jobs: Job[];
  private readonly free: Block[];
  /** Blocks by key, in order of becoming findable. */
  private readonly cached = new Map<string, Block[]>();
  private coming: Job[];
  private waiting: Job[] = [];
  private running: Job[] = [];
  private readonly steps: string[] = [];
  private nowNs = 0;

  constructor(requests: readonly Request[], options: PlainOptions) {
    this.options = options;
    this.jobs = requests.map((request) => ({
      request,
      outputs: 0,
      computed: 0,
      placeholders: 0,
      state: 'waiting',
      blocks: [],
      preemptions: 0,
      firstHits: -1,
      firstNs: -1,
      lastNs: -1,
    }));
    this.coming = [...this.jobs].sort((a, b) => a.request.arrivalNs - b.request.arrivalNs);
    this.free = Array.from({ length: options.usableBlocks }, (_, i) => ({
      id: i + 1,
      users: 0,
      key: undefined,
    }));
  }

  get isDone(): boolean {
    return this.jobs.every((job) => job.state === 'done');
  }

  hasComing(nowNs: number): boolean {
    return this.coming.length > 0 && this.coming[0].request.arrivalNs <= nowNs;
  }

  isAsked(nowNs: number): boolean {
    return this.hasComing(nowNs) || this.running.length + this.waiting.length > 0;
  }

  nextArrivalNs(nowNs: number): number {
    const next = this.coming.find(({ request }) => request.arrivalNs > nowNs);
    return next?.request.arrivalNs ?? Number.POSITIVE_INFINITY;
  }

  record(startNs: number, entries: readonly Entry[], all: readonly (readonly Entry[])[]): void {
    const work = entries.map(
      ({ job, tokens, context }) => `${job.request.id}:${tokens}+${context}`,
    );
    const sum = (of: readonly Entry[]): number =>
      of.reduce((total, { tokens }) => total + tokens, 0) || 1;
    const tokens = all.length > 1 ? ` of ${all.map(sum)}` : '';
    this.steps.push(`@${startNs} ${work.join(' ')}${tokens}`);
  }

  result(): PlainRun {
    const requests = this.jobs.map((job) => [
      job.firstNs,
      job.lastNs,
      job.preemptions,
      job.firstHits,
    ]);
    return { steps: this.steps, requests };
  }

  /** The engine's loop. @param grouped its steps are launched together with others' */
  *loop(grouped: boolean): Generator<Wait, never, Resumed> {
    const queue: Step[] = [];
    for (;;) {
      while (this.hasComing(this.nowNs)) this.waiting.push(this.coming.shift() as Job);
      let entries: Entry[] = [];
      if (this.running.length + this.waiting.length > 0) {
        entries = this.schedule();
        let endNs = -1;
        if (entries.length > 0) {
          const launch = yield { entries };
          endNs = launch.endNs;
          this.nowNs = launch.nowNs;
        }
        queue.push({ entries, endNs });
        if (entries.length > 0 && this.options.asynchronous && queue.length < 2) continue;
        const oldest = queue.shift() as Step;
        if (oldest.endNs > this.nowNs) this.nowNs = (yield { untilNs: oldest.endNs }).nowNs;
        this.update(oldest);
      }
      if (entries.length > 0) continue;
      // Alone it only waits for requests; with others it launches a dummy.
      if (grouped || this.running.length + this.waiting.length === 0) {
        this.nowNs = (yield { entries: [] }).nowNs;
      }
    }
  }

  private schedule(): Entry[] {
    const { asynchronous, seats, threshold } = this.options;
    const entries: Entry[] = [];
    let { budget } = this.options;
    let preempted = false;
    const cap = (tokens: number): number =>
      threshold > 0 && threshold < tokens ? threshold : tokens;
    const take = (job: Job, tokens: number): void => {
      const context = job.computed;
      job.computed += tokens;
      const samples = job.computed >= this.known(job) + job.placeholders;
      if (samples) job.placeholders++;
      entries.push({ job, tokens, context, samples });
      budget -= tokens;
    };
    for (let i = 0; i < this.running.length && budget > 0; i++) {
      const job = this.running[i];
      const last = job.request.promptTokens + job.request.outputTokens;
      if (job.placeholders > 0 && job.computed + 2 - job.placeholders >= last) continue;
      const placeholders = asynchronous ? job.placeholders : 0;
      const tokens = Math.min(cap(this.known(job) + placeholders - job.computed), budget);
      if (tokens === 0) continue;
      let gone = false;
      while (!gone && !this.allocate(job, tokens, [], false)) {
        const victim = this.running.pop() as Job;
        this.preempt(victim);
        preempted = true;
        gone = victim === job;
      }
      if (gone) break;
      take(job, tokens);
    }
    while (!preempted && this.waiting.length > 0 && budget > 0 && this.running.length < seats) {
      const job = this.waiting[0];
      const hits = this.lookUp(job);
      const hitTokens = hits.length * this.options.blockSize;
      const wanted = cap(this.known(job) - hitTokens);
      if (!this.options.chunked && wanted > budget) break;
      const tokens = Math.min(wanted, budget);
      if (!this.allocate(job, tokens, hits, this.options.reserveWhole)) break;
      this.waiting.shift();
      this.running.push(job);
      if (job.firstHits < 0) job.firstHits = hitTokens;
      job.state = 'running';
      job.computed = hitTokens;
      take(job, tokens);
    }
    return entries;
  }

  private update({ entries }: Step): void {
    for (const { job, samples } of entries) {
      if (!samples) continue;
      job.placeholders--;
      job.outputs++;
      job.lastNs = this.nowNs;
      if (job.firstNs < 0) job.firstNs = this.nowNs;
      if (job.outputs < job.request.outputTokens) {
        if (job.state === 'running') this.makeFindable(job, job.computed - job.placeholders);
        continue;
      }
      job.state = 'done';
      this.release(job);
    }
    this.running = this.running.filter((job) => job.state !== 'done');
    this.waiting = this.waiting.filter((job) => job.state !== 'done');
  }

  private known(job: Job): number {
    return job.request.promptTokens + job.outputs;
  }

  private preempt(job: Job): void {
    this.release(job);
    job.state = 'preempted';
    job.computed = 0;
    job.preemptions++;
    this.waiting.unshift(job);
  }

  private release(job: Job): void {
    for (const block of job.blocks.reverse()) {
      block.users--;
      if (block.users === 0) this.free.push(block);
    }
    job.blocks = [];
  }

  /** Equal for equal tokens: a request shares the beginning of another, all else is its own. */
  private keyOf(job: Job, block: number): string {
    const { prefix } = job.request;
    const end = (block + 1) * this.options.blockSize;
    const owner = prefix !== undefined && end <= prefix.tokens ? prefix.of : job.request.id;
    return `${owner}/${block}`;
  }

  private lookUp(job: Job): Block[] {
    const hits: Block[] = [];
    if (!this.options.caching) return hits;
    const most = Math.floor((this.known(job) - 1) / this.options.blockSize);
    for (let i = 0; i < most; i++) {
      const found = this.cached.get(this.keyOf(job, i))?.[0];
      if (found === undefined) break;
      hits.push(found);
    }
    return hits;
  }

  private allocate(job: Job, tokens: number, hits: Block[], whole: boolean): boolean {
    const { blockSize } = this.options;
    const computed = job.computed + hits.length * blockSize;
    const held = job.blocks.length + hits.length;
    const idleHits = hits.filter(({ users }) => users === 0).length;
    const all = Math.max(this.known(job), computed + tokens);
    const missing = (upTo: number): number => Math.max(0, Math.ceil(upTo / blockSize) - held);
    if (whole && missing(all) + idleHits > this.free.length) return false;
    if (missing(computed + tokens) + idleHits > this.free.length) return false;
    for (const block of hits) {
      if (block.users++ === 0) this.free.splice(this.free.indexOf(block), 1);
    }
    const fresh = Array.from({ length: missing(computed + tokens) }, () => this.takeBlock());
    job.blocks.push(...hits, ...fresh);
    this.makeFindable(job, Math.min(computed + tokens, this.known(job)));
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

  private makeFindable(job: Job, tokens: number): void {
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
