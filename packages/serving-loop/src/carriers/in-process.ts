/** The default carrier: generator and machine in this process, handing over the objects themselves. */
import type { Completion, Counters, Machine } from '@astrolabe/system-simulator';
import type { Iteration, TraceGenerator, Transfer } from '@astrolabe/trace-generator';
import type { Backend } from '../backend.js';

export class InProcessBackend implements Backend {
  private readonly generator: TraceGenerator;
  private readonly machine: Machine;

  constructor(generator: TraceGenerator, machine: Machine) {
    this.generator = generator;
    this.machine = machine;
  }

  submit(iteration: Iteration): void {
    this.machine.submit(this.generator.generate(iteration));
  }

  transfer(transfer: Transfer): void {
    this.machine.submit(this.generator.generateTransfer(transfer));
  }

  next(untilNs: number): Promise<Completion | undefined> {
    return Promise.resolve(this.machine.runUntil(untilNs));
  }

  close(): Promise<Counters | undefined> {
    return Promise.resolve(this.machine.counters());
  }
}
