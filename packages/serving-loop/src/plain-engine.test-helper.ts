/**
 * For tests: an engine as plain as can be, by the rules of vLLM's scheduler and loop, on a machine where
 * every step takes one time. Lists and strings instead of the counters and indices of the real one, so
 * that a slip in those shows. First come first served.
 */
import type { Request } from '@astrolabe/workload';
import {
  known,
  PlainBlocks,
  type PlainHolder,
  type PlainOptions,
} from './plain-blocks.test-helper.js';

interface Job extends PlainHolder {
  placeholders: number;
  state: 'waiting' | 'running' | 'preempted' | 'awaiting' | 'done';
  /** Its KV comes from elsewhere; it has come. */
  isRemote: boolean;
  isHere: boolean;
  preemptions: number;
  firstHits: number;
  firstNs: number;
  lastNs: number;
}

export interface Entry {
  readonly job: Job;
  readonly tokens: number;
  readonly context: number;
  readonly samples: boolean;
}

/** A step in the making. */
interface Plan {
  readonly entries: Entry[];
  budget: number;
  preempted: boolean;
}

function take(plan: Plan, job: Job, tokens: number): void {
  const context = job.computed;
  job.computed += tokens;
  const samples = job.computed >= known(job) + job.placeholders;
  if (samples) job.placeholders++;
  plan.entries.push({ job, tokens, context, samples });
  plan.budget -= tokens;
}

/** Of a request whose KV has come, or has gone. */
interface News {
  readonly id: Request['id'];
  readonly what: 'come' | 'gone';
}

interface PlainEvent {
  readonly what: 'prefilled' | 'reserved';
  readonly request: Request;
  readonly atNs: number;
}

interface Step {
  readonly entries: readonly Entry[];
  readonly seen: readonly News[];
  readonly endNs: number;
}

export interface PlainRun {
  /** Start, then request:new+context tokens. */
  readonly steps: string[];
  /** First token, last token, preemptions, prefix hits at first admission. */
  readonly requests: number[][];
}

/** What an engine waits for: a time, or all engines' launch of its next step. */
export type Wait = { readonly untilNs: number } | { readonly entries: Entry[] };

/** How a wait ended. */
interface Resumed {
  readonly nowNs: number;
  /** When the step ends that was launched. */
  readonly endNs: number;
}

export class PlainEngine {
  private readonly options: PlainOptions;
  private readonly jobs: Job[];
  private readonly blocks: PlainBlocks;
  private readonly role: 'prefill' | 'decode' | undefined;
  private coming: Job[];
  /** Jobs that wait for KV from elsewhere, in order of their reservations. */
  private aside: Job[] = [];
  private news: News[] = [];
  /** What the driver of two instances has to know. */
  readonly events: PlainEvent[] = [];
  private waiting: Job[] = [];
  private running: Job[] = [];
  private readonly steps: string[] = [];
  private nowNs = 0;
  private preemptions = 0;

  constructor(requests: readonly Request[], options: PlainOptions, role?: 'prefill' | 'decode') {
    this.options = options;
    this.role = role;
    this.jobs = requests.map((request) => ({
      request,
      outputs: 0,
      computed: 0,
      placeholders: 0,
      state: 'waiting',
      isRemote: role === 'decode',
      isHere: false,
      blocks: [],
      preemptions: 0,
      firstHits: -1,
      firstNs: -1,
      lastNs: -1,
    }));
    this.coming =
      role === 'decode'
        ? []
        : [...this.jobs].sort((a, b) => a.request.arrivalNs - b.request.arrivalNs);
    this.blocks = new PlainBlocks(options);
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

  /** For an engine alone: whether anything has happened since it found nothing to do. */
  isWoken(nowNs: number): boolean {
    return this.hasComing(nowNs) || this.news.length > 0;
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

  /** Hands a request that was prefilled elsewhere to this engine. */
  enter(id: Request['id']): void {
    this.coming.push(this.jobOf(id));
  }

  tell(news: News): void {
    this.news.push(news);
  }

  private jobOf(id: Request['id']): Job {
    return this.jobs.find(({ request }) => request.id === id) as Job;
  }

  private get hasWork(): boolean {
    return this.running.length + this.waiting.length + this.aside.length > 0;
  }

  private look(): readonly News[] {
    const seen = this.news;
    this.news = [];
    return seen;
  }

  /** The engine's loop. @param grouped its steps are launched together with others' */
  *loop(grouped: boolean): Generator<Wait, never, Resumed> {
    const queue: Step[] = [];
    for (;;) {
      while (this.hasComing(this.nowNs)) this.waiting.push(this.coming.shift() as Job);
      let entries: Entry[] = [];
      let changed = false;
      if (this.hasWork || this.news.length > 0 || queue.length > 0) {
        const before = this.preemptions;
        entries = this.schedule();
        const seen = this.look();
        changed = seen.length > 0 || this.preemptions > before;
        let endNs = -1;
        if (entries.length > 0) {
          const launch = yield { entries };
          endNs = launch.endNs;
          this.nowNs = launch.nowNs;
        }
        queue.push({ entries, endNs, seen });
        if (entries.length > 0 && this.options.asynchronous && queue.length < 2) continue;
        const oldest = queue.shift() as Step;
        changed ||= [oldest, ...queue].some((step) => step.endNs >= 0 || step.seen.length > 0);
        if (oldest.endNs > this.nowNs) this.nowNs = (yield { untilNs: oldest.endNs }).nowNs;
        this.update(oldest);
      }
      if (entries.length > 0) continue;
      // Alone it waits until something happens; with others it launches a dummy.
      if (grouped || !changed) this.nowNs = (yield { entries: [] }).nowNs;
    }
  }

  private schedule(): Entry[] {
    const plan: Plan = { entries: [], budget: this.options.budget, preempted: false };
    this.scheduleRunning(plan);
    this.scheduleWaiting(plan);
    return plan.entries;
  }

  private scheduleRunning(plan: Plan): void {
    for (let i = 0; i < this.running.length && plan.budget > 0; i++) {
      const job = this.running[i];
      const last = job.request.promptTokens + job.request.outputTokens;
      if (job.placeholders > 0 && job.computed + 2 - job.placeholders >= last) continue;
      const placeholders = this.options.asynchronous ? job.placeholders : 0;
      const tokens = Math.min(this.cap(known(job) + placeholders - job.computed), plan.budget);
      if (tokens === 0) continue;
      let gone = false;
      while (!gone && !this.blocks.allocate(job, tokens, [], false)) {
        const victim = this.running.pop() as Job;
        this.preempt(victim);
        plan.preempted = true;
        gone = victim === job;
      }
      if (gone) break;
      take(plan, job, tokens);
    }
  }

  private scheduleWaiting(plan: Plan): void {
    const { seats, blockSize, chunked, reserveWhole } = this.options;
    const stillAside: Job[] = [];
    while (!plan.preempted && plan.budget > 0 && this.running.length < seats) {
      const list = this.aside.length > 0 ? this.aside : this.waiting;
      const [job] = list;
      if (job === undefined) break;
      if (job.state === 'awaiting' && !job.isHere) {
        list.shift();
        stillAside.push(job);
        continue;
      }
      if (job.state === 'awaiting') {
        const tokens = Math.min(this.cap(known(job) - job.computed), plan.budget);
        if (!this.blocks.allocate(job, tokens, [], reserveWhole)) break;
        list.shift();
        this.running.push(job);
        job.state = 'running';
        take(plan, job, tokens);
        continue;
      }
      const hits = this.blocks.lookUp(job);
      const hitTokens = hits[0].length * blockSize;
      if (job.isRemote) {
        const missing = job.request.promptTokens - hitTokens;
        if (!this.blocks.allocate(job, missing, hits, true, false)) break;
        list.shift();
        stillAside.push(job);
        job.state = 'awaiting';
        job.isRemote = false;
        this.events.push({ what: 'reserved', request: job.request, atNs: this.nowNs });
        continue;
      }
      const wanted = this.cap(known(job) - hitTokens);
      if (!chunked && wanted > plan.budget) break;
      const tokens = Math.min(wanted, plan.budget);
      if (!this.blocks.allocate(job, tokens, hits, reserveWhole)) break;
      list.shift();
      this.running.push(job);
      if (job.firstHits < 0) job.firstHits = hitTokens;
      job.state = 'running';
      job.computed = hitTokens;
      take(plan, job, tokens);
    }
    this.aside = [...stillAside, ...this.aside];
  }

  private cap(tokens: number): number {
    const { threshold } = this.options;
    return threshold > 0 && threshold < tokens ? threshold : tokens;
  }

  private update({ entries, seen }: Step): void {
    for (const { job, samples } of entries) {
      if (!samples) continue;
      job.placeholders--;
      job.outputs++;
      job.lastNs = this.nowNs;
      if (job.firstNs < 0) job.firstNs = this.nowNs;
      if (job.outputs < job.request.outputTokens) {
        if (job.state === 'running') this.blocks.makeFindable(job, job.computed - job.placeholders);
        continue;
      }
      job.state = 'done';
      if (this.role !== 'prefill') this.blocks.release(job);
      else this.events.push({ what: 'prefilled', request: job.request, atNs: this.nowNs });
    }
    for (const { id, what } of seen) {
      const job = this.jobOf(id);
      if (what === 'gone') {
        this.blocks.release(job);
        continue;
      }
      job.isHere = true;
      job.computed = job.request.promptTokens - 1;
      this.blocks.makeFindable(job, job.computed);
    }
    this.running = this.running.filter((job) => job.state !== 'done');
    this.waiting = this.waiting.filter((job) => job.state !== 'done');
  }

  private preempt(job: Job): void {
    this.blocks.release(job);
    job.state = 'preempted';
    job.computed = 0;
    job.preemptions++;
    this.preemptions++;
    this.waiting.unshift(job);
  }
}
