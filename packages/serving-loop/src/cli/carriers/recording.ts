/** Records what an in-process run would have sent, so that `--keep` gives the same files everywhere. */
import { advanceGraph, encodeGraph, encodeGraphs, expandGraphSet } from '@astrolabe/chakra';
import type { Completion, Counters, Machine } from '@astrolabe/system-simulator';
import type { Iteration, TraceGenerator } from '@astrolabe/trace-generator';
import type { Backend } from '../../backend.js';
import { advancedLine, advanceLine, foreverNs } from '../../carriers/answer.js';
import type { Recorder } from './recorder.js';

export class RecordingBackend implements Backend {
  private readonly generator: TraceGenerator;
  private readonly machine: Machine;
  private readonly recorder: Recorder;
  private started = false;

  constructor(generator: TraceGenerator, machine: Machine, recorder: Recorder) {
    this.generator = generator;
    this.machine = machine;
    this.recorder = recorder;
  }

  submit(iteration: Iteration): void {
    this.started = true;
    const set = this.generator.generate(iteration);
    this.recorder.asked(JSON.stringify(iteration));
    this.recorder.relayed(encodeGraphs(expandGraphSet(set)));
    this.machine.submit(set);
  }

  async next(untilNs: number): Promise<Completion | undefined> {
    const completion = this.machine.runUntil(untilNs);
    if (!this.started) return completion;
    this.recorder.asked(advanceLine(untilNs));
    this.recorder.relayed(encodeGraph(advanceGraph(Math.min(untilNs, foreverNs))));
    this.recorder.answered(
      completion === undefined ? advancedLine(untilNs) : JSON.stringify(completion),
    );
    return completion;
  }

  async close(): Promise<Counters | undefined> {
    return this.machine.counters();
  }
}
