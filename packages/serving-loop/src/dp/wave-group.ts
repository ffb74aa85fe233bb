/**
 * Data-parallel ranks that share experts step together, as in vLLM: while any has work all step, a
 * rank without work runs one dummy token, and every rank computes as many tokens as the largest. A
 * step is submitted when each member has contributed its batch, all members' at once, so that their
 * collectives line up; it starts when the last of them is ready. The launch waits for all members', so
 * a rank without work is one dummy ahead: it looks for requests when a dummy is launched, finds none,
 * and its next step is a dummy whatever comes while it waits for the others to launch that.
 */
import { assert } from '@astrolabe/base';
import type { Iteration } from '@astrolabe/trace-generator';
import type { InstanceEngine } from '../instance-engine.js';
import type { Batch } from '../scheduler/batch.js';

interface Contribution {
  readonly iteration: Iteration;
  readonly batch: Batch;
}

/** One step of the group, until all have contributed. */
interface Wave {
  readonly contributions: (Contribution | undefined)[];
  missing: number;
  releaseNs: number;
}

export class WaveGroup {
  private readonly members: readonly InstanceEngine[];
  private readonly submit: (iteration: Iteration, batch: Batch) => void;
  private readonly syncNs: number;
  /** By wave number; a member is at most its depth ahead of the others. */
  private readonly open = new Map<number, Wave>();
  private lastEndNs = -1;
  /** How often the group began to step after a pause. */
  run = 0;

  /**
   * @param members two or more, in data-parallel rank order
   * @param syncNs host time for agreeing on the size of a step (vLLM's CPU all-reduce)
   */
  constructor(
    members: readonly InstanceEngine[],
    submit: (iteration: Iteration, batch: Batch) => void,
    syncNs = 0,
  ) {
    assert(members.length > 1, 'a group of one needs no waves');
    this.members = members;
    this.submit = submit;
    this.syncNs = syncNs;
    for (const member of members) member.wave = this;
  }

  /** Whether the next step of this member has been begun by another. */
  awaits(member: InstanceEngine): boolean {
    return this.open.has(member.nextIteration);
  }

  /** Whether members take part in steps: one is on its way, or has ended just now. */
  isRunning(nowNs: number): boolean {
    return nowNs === this.lastEndNs || this.members.some(({ inFlight }) => inFlight.length > 0);
  }

  /** A member has work after a pause. */
  begin(): void {
    this.run++;
  }

  /** A member has taken in a step. */
  ended(nowNs: number): void {
    this.lastEndNs = nowNs;
  }

  /** A member's batch for its next step; empty for a dummy. The last one submits the wave. */
  offer(member: InstanceEngine, iteration: Iteration, batch: Batch, nowNs: number): void {
    const number = iteration.iteration;
    let wave = this.open.get(number);
    const begins = wave === undefined;
    if (wave === undefined) {
      const { length } = this.members;
      wave = { contributions: new Array(length).fill(undefined), missing: length, releaseNs: 0 };
      this.open.set(number, wave);
    }
    const rank = this.members.indexOf(member);
    assert(wave.contributions[rank] === undefined, 'a second batch for one wave');
    wave.contributions[rank] = { iteration, batch };
    wave.missing--;
    wave.releaseNs = Math.max(wave.releaseNs, iteration.releaseNs);
    if (wave.missing === 0) {
      this.open.delete(number);
      this.start(number, wave, nowNs);
    } else if (begins) {
      // Ranks with a step in flight come by themselves when it ends.
      for (const other of this.members) if (other !== member) other.joinWave(nowNs);
    }
  }

  private start(number: number, wave: Wave, nowNs: number): void {
    const contributions = wave.contributions as Contribution[];
    const waveTokens = contributions.map(({ iteration }) =>
      Math.max(
        1,
        iteration.newTokens.reduce((sum, tokens) => sum + tokens, 0),
      ),
    );
    const paddedTokens = Math.max(...waveTokens);
    const releaseNs = wave.releaseNs + this.syncNs;
    for (const { iteration, batch } of contributions) {
      this.submit({ ...iteration, releaseNs, paddedTokens, wave: number, waveTokens }, batch);
    }
    for (const member of this.members) member.launched(number, nowNs);
  }
}
