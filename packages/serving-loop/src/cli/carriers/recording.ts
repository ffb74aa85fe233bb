/** Records what an in-process run would have sent, so that `--keep` gives the same files everywhere. */
import { ourName } from '@astrolabe/base/cli';
import {
  advanceGraph,
  encodeGraph,
  encodeGraphs,
  expandGraphSet,
  type GraphSet,
} from '@astrolabe/chakra';
import type { Completion, Counters, Machine } from '@astrolabe/system-simulator';
import type { Iteration, TraceGenerator, Transfer } from '@astrolabe/trace-generator';
import type { Backend } from '../../backend.js';
import { advancedLine, advanceLine, foreverNs } from '../../carriers/answer.js';
import type { Recorder } from './recorder.js';

const by = { traceGenerator: ourName, systemSimulator: ourName };

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
    this.hand(iteration, this.generator.generate(iteration));
  }

  transfer(transfer: Transfer): void {
    this.hand(transfer, this.generator.generateTransfer(transfer));
  }

  async next(untilNs: number): Promise<Completion | undefined> {
    const completion = this.machine.runUntil(untilNs);
    if (!this.started) return completion;
    this.recorder.asked(advanceLine(untilNs));
    const request = { advanceNs: Math.min(untilNs, foreverNs), writtenBy: ourName };
    this.recorder.relayed(encodeGraph(advanceGraph(request)));
    this.recorder.answered(
      completion === undefined ? advancedLine(untilNs, by) : JSON.stringify({ ...completion, by }),
    );
    return completion;
  }

  private hand(record: Iteration | Transfer, set: GraphSet): void {
    this.started = true;
    this.recorder.asked(JSON.stringify(record));
    this.recorder.relayed(encodeGraphs(expandGraphSet(set)));
    this.machine.submit(set);
  }

  async close(): Promise<Counters | undefined> {
    return this.machine.counters();
  }
}
