/** A request while it is being served: counters the scheduler and the metrics work on. */
import { GrowableInt32 } from '@astrolabe/base';
import type { Holding } from './kv/block-group.js';

export const RequestStatus = {
  waiting: 0,
  running: 1,
  preempted: 2,
  finished: 3,
  rejected: 4,
  /** Holds blocks whose KV is on its way from elsewhere; holds no seat. */
  waitingForRemoteKv: 5,
  /** The client went away. */
  aborted: 6,
} as const;
export type RequestStatus = (typeof RequestStatus)[keyof typeof RequestStatus];

export class RequestState {
  /** Position in the workload; the name that iterations use. */
  readonly index: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Lower goes first, under the priority policy. */
  priority = 0;
  /** Its end comes as a surprise: by a token, not by its length limit. */
  endsByEos = false;
  abortPending = false;
  /** When its client went away; -1: never. */
  abandonedNs = -1;
  /** When the client sent it. */
  arrivalNs: number;
  instance = -1;
  status: RequestStatus = RequestStatus.waiting;

  /** Tokens whose KV exists or is being computed by a batch in flight. */
  numComputedTokens = 0;
  /** Output tokens known to the engine. */
  numOutputTokens = 0;
  /** Output tokens that batches in flight will produce, should all drafts be accepted. */
  numPlaceholders = 0;
  /** Batches in flight that will produce one or more. */
  numSamplesInFlight = 0;
  /** When it got blocks for KV that comes from elsewhere: a running number of its engine. */
  reservation = 0;
  /** Content of each full block of prompt and output; undefined: never hits. */
  blockContents: Int32Array | undefined;
  readonly blocks = new GrowableInt32(8);
  /** Leading blocks already findable by content. */
  numCachedBlocks = 0;
  /** Leading blocks given back because a sliding window has passed them. */
  numDroppedBlocks = 0;
  /** The same of further groups of layers; the above are the first one's. */
  readonly otherGroups: Holding[] = [];

  /** Its prompt's KV comes from another instance: at admission it gets blocks, then waits for it. */
  needsRemoteKv = false;
  /** On a prefill instance: blocks stay when it finishes, until their KV is handed over. */
  pinsBlocks = false;

  /** Per tier, how many leading chunks were offered to it. */
  writtenChunks: Int32Array | undefined;

  /** Runs on a prefill instance on behalf of the request of the same index. */
  isPrefillLeg = false;
  /** When its client had the first token of the instance that serves it now; -1: not yet. */
  firstTokenHereNs = -1;

  preemptions = 0;
  recomputedTokens = 0;
  /** Prompt tokens found in the prefix cache at first admission. */
  prefixHitTokens = 0;
  /** Prompt tokens found in tiers below the device at first admission. */
  tierHitTokens = 0;
  scheduledNs = -1;
  firstTokenNs = -1;
  lastTokenNs = -1;
  finishNs = -1;

  constructor(index: number, promptTokens: number, outputTokens: number, arrivalNs: number) {
    this.index = index;
    this.promptTokens = promptTokens;
    this.outputTokens = outputTokens;
    this.arrivalNs = arrivalNs;
  }

  /** Tokens of the sequence that are known: prompt and output so far. */
  get numTokens(): number {
    return this.promptTokens + this.numOutputTokens;
  }

  get hasEnded(): boolean {
    return this.status === RequestStatus.finished || this.status === RequestStatus.aborted;
  }

  /** Nothing is left to schedule: batches in flight give the last token even if all drafts fail. */
  get isFullyScheduled(): boolean {
    if (this.endsByEos) return false;
    return this.numOutputTokens + this.numSamplesInFlight >= this.outputTokens;
  }
}
