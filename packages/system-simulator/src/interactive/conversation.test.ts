/**
 * Goal: the front end hears what LLMServingSim's own binary would tell it. Method: conversations on
 * machines of one and three NPUs, every time worked out by hand.
 */
import { UserError } from '@astrolabe/base';
import { CollectiveType, GraphBuilder, NodeType, TensorLocation } from '@astrolabe/chakra';
import { parseAstraNetwork, parseAstraSystem, parseForkMemory } from '@astrolabe/config';
import { describe, expect, test } from 'vitest';
import { ask, converse } from './conversation.js';
import { ForkMachine } from './fork-machine.js';

const memory = parseForkMemory(
  {
    remote_mem: { 'memory-type': 'PER_NODE_MEMORY_EXPANSION', 'mem-latency': 10, 'mem-bw': 2 },
    cxl_mem: {
      'memory-type': 'MEMORY_POOL',
      'mem-latency': 5,
      'mem-bw': 1,
      'num-devices': 2,
      'pim-channels': 2,
    },
  },
  'memory.json',
);

function machineOf(...npus: number[]): ForkMachine {
  const list = (value: unknown): string => `[ ${npus.map(() => value).join(', ')} ]`;
  const yaml = `topology: ${list('FullyConnected')}\nnpus_count: [ ${npus.join(', ')} ]\nbandwidth: ${list(1)}\nlatency: ${list(100)}\n`;
  const implementation = npus.map(() => 'ring');
  const system = {
    'scheduling-policy': 'LIFO',
    'endpoint-delay': 10,
    'active-chunks-per-dimension': 1,
    'preferred-dataset-splits': 1,
    'all-reduce-implementation': implementation,
    'all-gather-implementation': implementation,
    'reduce-scatter-implementation': implementation,
    'all-to-all-implementation': implementation,
    'collective-optimization': 'localBWAware',
    'local-mem-bw': 100,
  };
  return new ForkMachine({
    network: parseAstraNetwork(yaml, 'network.yml', 'default'),
    system: parseAstraSystem(system, 'system.json', 'compat'),
    memory,
  });
}

type Build = (builder: GraphBuilder) => void;
const comp =
  (durationNs: number): Build =>
  (builder) =>
    builder.setDuration(builder.addNode(NodeType.comp, 'c'), durationNs);

/** Traces by `<prefix>.<npu>`; others do not exist. */
function conversation(
  machine: ForkMachine,
  starts: number[],
  ends: number[],
  traces: Record<string, Build>,
) {
  const talk = converse(
    {
      machine,
      starts,
      ends,
      read: (prefix, npu) => {
        const build = traces[`${prefix}.${npu}`] ?? traces[prefix];
        if (build === undefined) throw new UserError('no such file', { at: `${prefix}.${npu}.et` });
        const builder = new GraphBuilder();
        build(builder);
        return builder.finish();
      },
    },
    'first',
  );
  /** Gives the answer and returns what is said until the next question, times only. */
  const say = (answer?: string): string => {
    let turn = talk.next(answer);
    let said = '';
    while (turn.done !== true && turn.value !== ask) {
      said += turn.value;
      turn = talk.next();
    }
    if (turn.done === true) return `${said}END ${turn.value.problem ?? ''}`;
    return said.replace(/^\[1970-01-01 00:00:00\.000\] /gm, '');
  };
  return say;
}

const report = (npu: number, iteration: number, tick: number, exposed: number): string =>
  `[workload] [info] sys[${npu}] iteration ${iteration} finished, ${tick} cycles, ` +
  `exposed communication ${exposed} cycles.\n[workload] [info] Waiting\n`;

describe('one NPU', () => {
  test('carries on from batch to batch; an idle clock moves in steps of 1 ms', () => {
    const say = conversation(machineOf(1), [0], [], { first: comp(2000), b: comp(500) });
    expect(say()).toBe(report(0, 0, 2000, 0));
    // The next batch begins at the tick of the answer, 2000.
    expect(say('b')).toBe(report(0, 1, 2500, 0));
    expect(say('pass')).toBe(report(0, 1, 1_002_500, 1_000_000));
    expect(say('b')).toBe(report(0, 2, 1_003_000, 1_000_000));
    expect(say('exit')).toMatch(/-{20,}\nAll Request Has Been Exited\n-{20,}\nEND $/);
  });

  test('a trace that is not there is told, and the NPU asked again', () => {
    const say = conversation(machineOf(1), [0], [], { first: comp(10) });
    say();
    const said = say('nowhere');
    expect(said).toMatch(/^\[workload\] \[critical\] nowhere\.0\.et: no such file\n/);
    expect(said).toContain(report(0, 0, 1_000_010, 1_000_000));
  });

  test('ends by itself when nobody can be asked any more, and at the end of input', () => {
    const asleep = conversation(machineOf(1), [0], [], { first: comp(10) });
    asleep();
    expect(asleep('done')).toBe(
      'END every NPU that could be asked is asleep and nothing is left to run',
    );
    const cut = conversation(machineOf(1), [0], [], { first: comp(10) });
    cut();
    expect(cut(undefined)).toBe('END input ended without exit');
  });

  test('memory tiers: one server a device, loads beside compute', () => {
    const load = (builder: GraphBuilder, device: number, bytes: number): void => {
      const node = builder.addNode(NodeType.memLoad, 'm');
      builder.setTensorSize(node, bytes);
      builder.setTensorLocation(node, TensorLocation.cxl, device);
    };
    const say = conversation(machineOf(1), [0], [], {
      first: comp(1),
      // 5 + 100/1 each: two on device 0 in series 210, one on device 1 beside them.
      b: (builder) => {
        load(builder, 0, 100);
        load(builder, 0, 100);
        load(builder, 1, 100);
      },
      // On one channel 20 + 5 + 30 each, two in series: 110.
      pim: (builder) => {
        for (let i = 0; i < 2; i++) {
          const node = builder.addNode(NodeType.pimComp, 'p');
          builder.setDuration(node, 20);
          builder.setTensorSize(node, 30);
          builder.setTensorLocation(node, TensorLocation.cxl, 0, 1);
        }
      },
    });
    expect(say()).toBe(report(0, 0, 1, 0));
    const finishOf = (text: string): number => Number(/finished, (\d+)/.exec(text)?.[1]);
    const after = finishOf(say('b'));
    expect(after).toBe(1 + 210);
    expect(finishOf(say('pim'))).toBe(after + 110);
  });
});

describe('an instance of three NPUs', () => {
  test('ends are asked first; the start hands its trace to those between', () => {
    const say = conversation(machineOf(3), [0], [2], {
      first: comp(10),
      'b.0': comp(100),
      'b.1': comp(300),
      'b.2': comp(200),
    });
    expect(say()).toBe(report(2, 0, 10, 0));
    expect(say('b')).toBe(report(0, 0, 10, 0));
    // NPU 0 is done at 110, the end NPU is still at work: the start is asked.
    expect(say('b')).toBe(report(0, 1, 110, 0));
    // NPU 1 is busy until 310: its second trace waits and begins there by itself.
    expect(say('b')).toBe(report(2, 1, 210, 0));
    expect(say('pass')).toBe(report(0, 2, 210, 0));
    expect(say('pass')).toBe(report(2, 1, 310, 100));
    // 310: NPU 1 goes on by itself and is done at 610, which NPU 2 hears at that tick.
    expect(say('pass')).toBe(report(0, 2, 310, 100));
    expect(say('pass')).toBe(report(2, 1, 610, 400));
    expect(say('exit')).toContain('All Request Has Been Exited');
  });

  test('pass with a tick is not asked before it, or before somebody finishes', () => {
    const say = conversation(machineOf(2), [0, 1], [], {
      first: comp(10),
      'b.0': (builder) => {
        for (let i = 0; i < 4; i++) {
          const node = builder.addNode(NodeType.comp, 'c');
          builder.setDuration(node, 100);
          if (i > 0) builder.addDep(node, node - 1);
        }
      },
    });
    expect(say()).toBe(report(0, 0, 10, 0));
    expect(say('b')).toBe(report(1, 0, 10, 0));
    // Plain pass: asked again after the first of four nodes.
    expect(say('pass')).toBe(report(1, 0, 110, 100));
    expect(say('pass 300')).toBe(report(1, 0, 310, 300));
    // Not due before 9999, but NPU 0 finishes at 410.
    expect(say('pass 9999')).toBe(report(0, 1, 410, 0));
  });

  test('an all-reduce over the first of two dimensions', () => {
    const allReduce: Build = (builder) => {
      const node = builder.addNode(NodeType.commColl, 'ar');
      builder.setCollective(node, CollectiveType.allReduce, 2000);
      builder.setInvolvedDims(node, 0b01, 2);
    };
    const say = conversation(machineOf(2, 2), [0, 2], [1, 3], { first: comp(1), b: allReduce });
    say();
    say('b');
    say('pass');
    let said = say('b');
    for (let i = 0; i < 100 && !said.includes('iteration 1'); i++) said = say('pass');
    // Two NPUs: chunks of 1000 bytes, P2P = trunc(100 + 1000 / 1.073741824) = 1031, each of two steps;
    // endpoint delays 3 x 10; one reduction 3 x trunc(1000 / 100) = 30: 1 + 2122 + 30 = 2123.
    expect(said).toContain('sys[1] iteration 1 finished, 2123 cycles');
  });
});
