/**
 * Prefill on one instance, decode on another. Two states per request: the prefill leg, which ends
 * with one token, and the request itself, which lives on the decode instance.
 *
 *   pull (vLLM's NIXL connector): prefill; its blocks stay pinned; the router names a
 *     decode instance; that reserves blocks, or lets the request wait; then the KV moves
 *   push: the decode instance is named on arrival and reserves blocks first; then prefill, which
 *     sends the KV when it ends, or layer by layer while it computes
 *
 * What nobody has fetched in time prefill frees all the same, as vLLM does (`get_finished` of its NIXL
 * worker): the transfer then reads blocks that others may have overwritten, and nobody notices.
 *
 * Each waits in one direction only, so that full pools delay but never lock. A transfer's end frees
 * the prefill's blocks; both instances notice it with their next steps.
 */
import { assert, nsPerS } from '@astrolabe/base';
import type { KvTransferOptions } from '@astrolabe/config';
import type { Iteration, Transfer } from '@astrolabe/trace-generator';
import type { InstanceEngine } from '../instance-engine.js';
import { RequestState, RequestStatus } from '../request-state.js';
import type { Batch, Reservation } from '../scheduler/batch.js';

interface DisaggregationEvents {
  /** Chooses the decode instance, and tells the request what its blocks there will hold. */
  chooseDecode(request: RequestState, prefill: InstanceEngine): InstanceEngine;
  /** Tells a prefill leg what its blocks hold. */
  identify(leg: RequestState, prefill: InstanceEngine): void;
  submit(transfer: Transfer): void;
  /** Only with the first token from prefill. */
  firstToken(request: RequestState, nowNs: number): void;
  /** The first token from prefill was the last one, too. */
  finished(request: RequestState, nowNs: number): void;
}

/** One request on its way through two instances. */
interface HandOff {
  readonly request: RequestState;
  readonly leg: RequestState;
  readonly prefill: InstanceEngine;
  decode: InstanceEngine | undefined;
  /** Leading blocks, in the decode instance's size, that are there or on their way. */
  sentBlocks: number;
  reserved: boolean;
  prefilled: boolean;
  openTransfers: number;
  /** When prefill frees its blocks, if they are still pinned then. */
  releaseNs: number;
  /** They are not pinned any more. */
  released: boolean;
}

export class Disaggregation {
  /** Transfers submitted. */
  numTransfers = 0;
  /** Tokens whose KV moved, in whole blocks. */
  transferredTokens = 0;
  /** Prompts whose blocks were freed before all of them were fetched. */
  numReleased = 0;
  /** Prompts computed for others, by instance. */
  readonly numPrefills = new Map<number, number>();
  private readonly options: KvTransferOptions;
  private readonly events: DisaggregationEvents;
  private readonly byRequest = new Map<number, HandOff>();
  private readonly byTransfer = new Map<number, HandOff>();
  private readonly acquainted = new Set<string>();
  /** Prefilled prompts that are fetched by their decode instances, in order of their ends. */
  private readonly pinned: HandOff[] = [];
  private firstPinned = 0;

  constructor(options: KvTransferOptions, events: DisaggregationEvents) {
    this.options = options;
    this.events = events;
  }

  /** A request goes to a prefill instance, or first to a decode instance; the caller starts it. */
  start(request: RequestState, prefill: InstanceEngine): void {
    const leg = new RequestState(request.index, request.promptTokens, 1, request.arrivalNs);
    leg.priority = request.priority;
    leg.pinsBlocks = true;
    leg.isPrefillLeg = true;
    this.events.identify(leg, prefill);
    const handOff: HandOff = {
      request,
      leg,
      prefill,
      decode: undefined,
      sentBlocks: 0,
      reserved: false,
      prefilled: false,
      openTransfers: 0,
      releaseNs: Number.POSITIVE_INFINITY,
      released: false,
    };
    this.byRequest.set(request.index, handOff);
    request.needsRemoteKv = true;
    const { initiate, first_token: firstToken } = this.options;
    const endsThere = firstToken === 'prefill' && request.outputTokens === 1;
    if (initiate === 'pull' || endsThere) prefill.enqueue(leg);
    else this.askDecode(handOff);
  }

  private askDecode(handOff: HandOff): InstanceEngine {
    const { request, prefill } = handOff;
    const decode = this.events.chooseDecode(request, prefill);
    handOff.decode = decode;
    decode.enqueue(request);
    return decode;
  }

  /** The decode instance has blocks for these prompts. */
  reserved(reservations: readonly Reservation[], nowNs: number): void {
    const prefills = reservations.map((reservation) => this.reserve(reservation, nowNs));
    for (const prefill of prefills) prefill.start(nowNs);
  }

  /** @returns the prefill instance, which may have work now */
  private reserve({ request, hitTokens }: Reservation, nowNs: number): InstanceEngine {
    const handOff = this.of(request);
    const { decode, prefill, leg } = handOff;
    assert(decode !== undefined, 'reserved before it was asked');
    handOff.reserved = true;
    handOff.sentBlocks = hitTokens / decode.kv.blockSize;
    if (handOff.prefilled) this.sendRest(handOff, nowNs);
    else prefill.enqueue(leg);
    return prefill;
  }

  /** A step that is about to be submitted: what it sends on while it computes. */
  stream(iteration: Iteration, batch: Batch): Transfer[] {
    if (this.options.initiate === 'pull' || this.options.granularity !== 'layer') return [];
    const transfers: Transfer[] = [];
    for (let i = 0; i < batch.requests.length; i++) {
      const leg = batch.requests[i];
      if (!leg.isPrefillLeg) continue;
      const computed = batch.contextTokens[i] + batch.newTokens[i];
      const handOff = this.of(leg);
      if (handOff.decode === undefined) continue;
      const transfer = this.claim(handOff, computed, iteration.releaseNs);
      if (transfer !== undefined) transfers.push({ ...transfer, inStep: true, layerwise: true });
    }
    if (transfers.length > 0) {
      iteration.kvSends = transfers.map(({ transfer, to, tokens }) => ({ transfer, to, tokens }));
    }
    return transfers;
  }

  /** The prompt is computed; its last token gave one more. */
  prefilled(leg: RequestState, nowNs: number): void {
    const handOff = this.of(leg);
    const { request } = handOff;
    handOff.prefilled = true;
    const { index } = handOff.prefill;
    this.numPrefills.set(index, (this.numPrefills.get(index) ?? 0) + 1);
    request.scheduledNs = leg.scheduledNs;
    request.prefixHitTokens = leg.prefixHitTokens;
    request.preemptions += leg.preemptions;
    request.recomputedTokens += leg.recomputedTokens;
    if (this.options.first_token === 'prefill' && this.giveFirstToken(handOff, nowNs)) return;
    if (this.options.initiate === 'pull') {
      handOff.releaseNs = nowNs + Math.round(this.options.release_after_s * nsPerS);
      this.pinned.push(handOff);
      this.askDecode(handOff).start(nowNs);
    } else this.sendRest(handOff, nowNs);
  }

  /** When the next prompt's blocks are freed, fetched or not. */
  get nextReleaseNs(): number {
    while (this.pinned[this.firstPinned]?.released === true) this.firstPinned++;
    if (this.firstPinned > 1000) {
      this.pinned.splice(0, this.firstPinned);
      this.firstPinned = 0;
    }
    return this.pinned[this.firstPinned]?.releaseNs ?? Number.POSITIVE_INFINITY;
  }

  /** Frees blocks that were pinned for too long by now. */
  releaseOverdue(nowNs: number): void {
    while (this.nextReleaseNs <= nowNs) {
      this.numReleased++;
      this.release(this.pinned[this.firstPinned], nowNs);
    }
  }

  private release(handOff: HandOff, nowNs: number): void {
    if (handOff.released) return;
    handOff.released = true;
    handOff.prefill.handedOver(handOff.leg, nowNs);
  }

  /** The prefill's token is the client's first. @returns whether it was the last */
  private giveFirstToken(handOff: HandOff, nowNs: number): boolean {
    const { request } = handOff;
    request.numOutputTokens = 1;
    request.firstTokenNs = nowNs;
    request.lastTokenNs = nowNs;
    this.events.firstToken(request, nowNs);
    if (request.outputTokens > 1) return false;
    request.instance = handOff.prefill.index;
    request.finishNs = nowNs;
    request.status = RequestStatus.finished;
    this.byRequest.delete(request.index);
    handOff.prefill.kv.free(handOff.leg);
    this.events.finished(request, nowNs);
    return true;
  }

  private sendRest(handOff: HandOff, nowNs: number): void {
    const { promptTokens } = handOff.request;
    const transfer = this.claim(handOff, promptTokens, nowNs);
    if (transfer !== undefined) {
      const { initiate, granularity } = this.options;
      if (initiate === 'pull') transfer.pull = true;
      if (granularity === 'layer') transfer.layerwise = true;
      this.events.submit(transfer);
    }
    this.endIfComplete(handOff, nowNs);
  }

  /** Takes the blocks up to `computedTokens` that have not gone yet; undefined when there are none. */
  private claim(handOff: HandOff, computedTokens: number, nowNs: number): Transfer | undefined {
    const { request, prefill, decode } = handOff;
    assert(decode !== undefined, 'transfer without a receiver');
    const { blockSize } = decode.kv;
    const complete = computedTokens >= request.promptTokens;
    const blocks = complete
      ? Math.ceil(request.promptTokens / blockSize)
      : Math.floor(computedTokens / blockSize);
    const fresh = blocks - handOff.sentBlocks;
    if (fresh <= 0) return undefined;
    handOff.sentBlocks = blocks;
    handOff.openTransfers++;
    const transfer: Transfer = {
      transfer: this.numTransfers++,
      request: request.index,
      from: prefill.index,
      to: decode.index,
      releaseNs: nowNs + this.handshakeNs(prefill, decode),
      tokens: fresh * blockSize,
    };
    this.transferredTokens += transfer.tokens;
    this.byTransfer.set(transfer.transfer, handOff);
    return transfer;
  }

  private handshakeNs(prefill: InstanceEngine, decode: InstanceEngine): number {
    const pair = `${prefill.index} ${decode.index}`;
    if (this.acquainted.has(pair)) return 0;
    this.acquainted.add(pair);
    return this.options.handshake_ns;
  }

  /** The KV of one transfer is at the decode instance. */
  transferred(transfer: number, nowNs: number): void {
    const handOff = this.byTransfer.get(transfer);
    assert(handOff !== undefined, 'completion of a transfer nobody asked for');
    this.byTransfer.delete(transfer);
    handOff.openTransfers--;
    this.endIfComplete(handOff, nowNs);
  }

  private endIfComplete(handOff: HandOff, nowNs: number): void {
    const { request, decode } = handOff;
    if (!handOff.prefilled || !handOff.reserved || handOff.openTransfers > 0) return;
    assert(decode !== undefined, 'complete without a receiver');
    this.byRequest.delete(request.index);
    this.release(handOff, nowNs);
    const recomputed = this.options.first_token === 'decode' ? 1 : 0;
    decode.kvArrived(request, request.promptTokens - recomputed, nowNs);
  }

  private of(state: RequestState): HandOff {
    const handOff = this.byRequest.get(state.index);
    assert(handOff !== undefined, 'request without a hand-off');
    return handOff;
  }
}
