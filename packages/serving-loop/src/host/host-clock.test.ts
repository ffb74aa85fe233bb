/** The host's clock by hand: when steps start and when their tokens are known. */
import { hostStepSchema } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import { clusterOf } from '../machine.test-helper.js';
import { RequestState } from '../request-state.js';
import type { Batch } from '../scheduler/batch.js';
import { createHostClock, type HostClock } from './host-clock.js';

/** Decodes after a context, one token each. */
function decodes(count: number): Batch {
  return {
    requests: Array.from({ length: count }, (_, i) => new RequestState(i, 4, 4, 0)),
    newTokens: new Array(count).fill(1),
    contextTokens: new Array(count).fill(4),
    samples: new Array(count).fill(true),
  };
}

/** One prompt of so many tokens. */
function prompt(tokens: number): Batch {
  return {
    requests: [new RequestState(0, tokens, 4, 0)],
    newTokens: [tokens],
    contextTokens: [0],
    samples: [true],
  };
}

/** The example model has 2 layers: 27 kernels. 16 seats: graphs of up to 32 tokens. */
function clock(tp: number, given: object): HostClock {
  const zero = Object.fromEntries(Object.keys(hostStepSchema.shape).map((key) => [key, 0]));
  const [instance] = clusterOf([{ tp_size: tp, max_num_seqs: 16 }]).instances;
  return createHostClock(instance, hostStepSchema.parse({ ...zero, ...given }));
}

describe('one process', () => {
  it('schedules and prepares, launches behind that, and then takes in the output', () => {
    const host = clock(1, {
      schedule_ns: 200,
      schedule_per_request_ns: 20,
      prepare_ns: 1000,
      prepare_per_request_ns: 10,
      launch_full_graph_ns: 5000,
      launch_graph_kernel_ns: 10,
    });
    // 100 + 2 x 10 before the step, 1000 + 2 x 10 of preparation.
    expect(host.compose(decodes(2), 50)).toBe(50 + 120 + 1020);
    // The device is done before the launch (5000 + 27 x 10) is: tokens come after both.
    expect(host.finish(decodes(2), 1300)).toBe(1190 + 5270 + 120);
    // The engine's thread goes on from there.
    expect(host.compose(decodes(2), 6000)).toBe(6580 + 120 + 1020);
    expect(host.finish(decodes(2), 50_000)).toBe(50_120);
  });
});

describe('several processes', () => {
  it('the engine goes on while workers launch; a step waits for the launch before it', () => {
    const host = clock(2, { schedule_ns: 200, ipc_ns: 30, launch_full_graph_ns: 5000 });
    expect(host.compose(decodes(1), 0)).toBe(100 + 30);
    // Scheduled at 300, but the worker launches until 5130.
    expect(host.compose(decodes(1), 200)).toBe(5130);
    // A message back, behind the device and the launch, whichever ends last.
    expect(host.finish(decodes(1), 3000)).toBe(5130 + 30 + 100);
    expect(host.finish(decodes(1), 12_000)).toBe(12_000 + 30 + 100);
  });
});

describe('launches', () => {
  const launchNs = (batch: Batch): number => {
    const host = clock(1, {
      launch_full_graph_ns: 7,
      launch_piece_ns: 100,
      launch_attention_ns: 1000,
      launch_kernel_ns: 10_000,
    });
    const release = host.compose(batch, 0);
    return host.finish(batch, 0) - release;
  };

  it('a graph for decodes, pieces for a small prompt, kernels for a large one', () => {
    expect(launchNs(decodes(16))).toBe(7);
    // A piece before, between and behind the attention of 2 layers.
    expect(launchNs(prompt(32))).toBe(3 * 100 + 2 * 1000);
    expect(launchNs(prompt(33))).toBe(27 * 10_000);
  });
});
