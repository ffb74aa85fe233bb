/**
 * KV of one instance on its way to and from its tiers: recalls that a request waits for, recalls
 * that a whole batch waits for, and write-downs of chunks that have become complete. Each becomes an
 * iteration that only moves, on a lane beside the engine's steps; what waits for it goes on when the
 * machine says it has ended.
 */
import { assert } from '@astrolabe/base';
import type { Instance } from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import { type Iteration, loadLane, type MemoryMove, storeLane } from '@astrolabe/trace-generator';
import type { RequestState } from '../request-state.js';
import type { Batch } from '../scheduler/batch.js';
import { chunkMoves } from './chunk-moves.js';
import type { KvTiers, Recall, TierChunk } from './kv-tiers.js';

/** A request that waits for KV from a tier while the batch goes on. */
export interface ParkedRecall {
  readonly request: RequestState;
  readonly recall: Recall;
  /** Tokens computed once the recall has ended. */
  readonly computedTokens: number;
}

/** A step whose turn has come when the recalls before it have ended. */
interface HeldStep {
  readonly iteration: Iteration;
  readonly batch: Batch;
}

interface Held extends HeldStep {
  pending: boolean;
}

/** What a transfer was for. */
type Purpose =
  | { readonly kind: 'park'; readonly parked: ParkedRecall }
  | { readonly kind: 'hold'; readonly held: Held }
  | { readonly kind: 'write'; readonly chunks: readonly TierChunk[] };

interface TrafficEnd {
  readonly parked?: ParkedRecall;
  readonly steps: readonly HeldStep[];
}

export class TierTraffic {
  readonly tiers: KvTiers;
  /** Bytes moved towards and away from the devices. */
  loadedBytes = 0;
  storedBytes = 0;
  private readonly instance: Instance;
  private readonly submit: (iteration: Iteration) => void;
  private readonly underWay = new Map<number, Purpose>();
  private held: Held[] = [];
  private transfers = 0;

  constructor(instance: Instance, tiers: KvTiers, submit: (iteration: Iteration) => void) {
    this.instance = instance;
    this.tiers = tiers;
    this.submit = submit;
  }

  get numUnderWay(): number {
    return this.underWay.size;
  }

  startLoads(loads: readonly ParkedRecall[], nowNs: number): void {
    for (const parked of loads) this.load(parked.recall.chunks, { kind: 'park', parked }, nowNs);
  }

  /** Whether the step must wait: for its own recalls, or behind a step that waits. */
  delays(iteration: Iteration, batch: Batch, nowNs: number): boolean {
    const recalls = batch.recalls ?? [];
    if (recalls.length === 0 && this.held.length === 0) return false;
    const held: Held = { iteration, batch, pending: recalls.length > 0 };
    this.held.push(held);
    if (held.pending) {
      const chunks = recalls.flatMap((recall) => recall.chunks);
      this.load(chunks, { kind: 'hold', held }, nowNs);
    }
    return true;
  }

  /** Writes down what the step has completed; the engine does not wait for it. */
  writeDown(batch: Batch, nowNs: number): void {
    const chunks: TierChunk[] = [];
    for (let i = 0; i < batch.requests.length; i++) {
      const computed = batch.contextTokens[i] + batch.newTokens[i];
      chunks.push(...this.tiers.writeDown(batch.requests[i], computed));
    }
    if (chunks.length === 0) return;
    const moves = chunkMoves(this.instance, chunks, 'store');
    this.storedBytes += bytesOf(moves);
    this.start(storeLane, moves, { kind: 'write', chunks }, nowNs);
  }

  /** A transfer has ended. */
  complete(completion: Completion): TrafficEnd {
    const purpose = this.underWay.get(completion.iteration);
    assert(purpose !== undefined, 'completion of a transfer that is not under way');
    this.underWay.delete(completion.iteration);
    if (purpose.kind === 'write') {
      this.tiers.commit(purpose.chunks);
      return { steps: [] };
    }
    if (purpose.kind === 'park') {
      this.tiers.endRecall(purpose.parked.recall);
      return { parked: purpose.parked, steps: [] };
    }
    for (const recall of purpose.held.batch.recalls ?? []) this.tiers.endRecall(recall);
    purpose.held.pending = false;
    const waiting = this.held.findIndex((held) => held.pending);
    const steps = this.held.splice(0, waiting < 0 ? this.held.length : waiting);
    for (const step of steps) step.iteration.releaseNs = completion.finishNs;
    return { steps };
  }

  private load(chunks: readonly TierChunk[], purpose: Purpose, nowNs: number): void {
    const moves = chunkMoves(this.instance, chunks, 'load');
    this.loadedBytes += bytesOf(moves);
    this.start(loadLane, moves, purpose, nowNs);
  }

  private start(lane: number, moves: MemoryMove[], purpose: Purpose, nowNs: number): void {
    const iteration = this.transfers++;
    this.underWay.set(iteration, purpose);
    this.submit({
      instance: this.instance.index,
      iteration,
      releaseNs: nowNs,
      lane,
      moves,
      requests: [],
      newTokens: [],
      contextTokens: [],
    });
  }
}

function bytesOf(moves: readonly MemoryMove[]): number {
  return moves.reduce((sum, move) => sum + move.bytes, 0);
}
