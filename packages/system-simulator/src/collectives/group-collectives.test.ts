/** Collectives by closed form and by messages: the same times, the same bytes. */
import { CollectiveType, GraphBuilder } from '@astrolabe/chakra';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMachine } from '../machine.js';
import {
  collective,
  compute,
  linkBandwidthGBps,
  replay,
  set,
  sizes,
  spec,
} from '../machine.test-helper.js';
import { ringCollectives } from '../machine-spec.js';

test('the closed forms of collectives equal their messages, whoever begins when', () => {
  const plan = fc.record({
    npus: fc.integer({ min: 2, max: 6 }),
    kind: fc.constantFrom('Ring' as const, 'Switch' as const, 'FullyConnected' as const),
    implementation: fc.constantFrom('ring' as const, 'direct' as const),
    type: fc.constantFrom(
      CollectiveType.allReduce,
      CollectiveType.allGather,
      CollectiveType.reduceScatter,
      CollectiveType.allToAll,
    ),
    size: sizes,
    beginNs: fc.array(fc.constantFrom(0, 0, 300, 5000), { minLength: 6, maxLength: 6 }),
    memoryGBps: fc.option(fc.array(fc.constantFrom(5, 5, 50), { minLength: 6, maxLength: 6 }), {
      nil: undefined,
    }),
  });
  fc.assert(
    fc.property(plan, ({ npus, kind, implementation, type, size, beginNs, memoryGBps }) => {
      const dims = [{ kind, npus, bandwidthGBps: linkBandwidthGBps, latencyNs: 500 }];
      const machineSpec = spec(npus, {
        network: { congestion: 'unaware', dims },
        ...(memoryGBps === undefined ? {} : { localMemoryOfNpuGBps: memoryGBps }),
        collectives: {
          allReduce: implementation,
          allGather: implementation,
          reduceScatter: implementation,
          allToAll: implementation,
        },
      });
      const programs = Array.from({ length: npus }, (_, npu) => {
        const builder = new GraphBuilder();
        compute(builder, beginNs[npu]);
        collective(builder, type, size);
        return { npus: [npu], graph: builder.finish() };
      });
      const fast = replay(machineSpec, [set(0, programs)]);
      expect(fast).toEqual(replay({ ...machineSpec, fastPaths: false }, [set(0, programs)]));
    }),
    { seed: 6, numRuns: 300 },
  );
});

test('reductions run at the speed of a member\u2019s own memory, not of another group\u2019s', () => {
  const size = 8_000_000;
  const ends = (ofNpu?: number[]): number[] => {
    const programs = [0, 2].map((first) => {
      const builder = new GraphBuilder();
      collective(builder, CollectiveType.allReduce, size, `${first}`);
      return { npus: [first, first + 1], graph: builder.finish() };
    });
    const groups = { '0': [0, 1], '2': [2, 3] };
    const own = ofNpu === undefined ? {} : { localMemoryOfNpuGBps: ofNpu };
    const [done] = replay(spec(4, own), [{ ...set(0, programs), groups }]);
    return done.npus.map(({ finishNs }) => finishNs);
  };
  const slow = ends()[0];
  const [fast, , other] = ends([500, 500, 50, 50]);
  expect(other).toBe(slow);
  // One half is reduced: three passes over 4 MB, at 500 in place of 50 GB/s.
  expect(slow - fast).toBe((3 * 4_000_000) / 50 - (3 * 4_000_000) / 500);
});

const kinds = {
  allReduce: CollectiveType.allReduce,
  allGather: CollectiveType.allGather,
  reduceScatter: CollectiveType.reduceScatter,
  allToAll: CollectiveType.allToAll,
} as const;
const implementations = ['ring', 'direct', 'direct2', 'halvingDoubling'] as const;
const sending = Object.keys(kinds).flatMap((kind) =>
  implementations.map((name) => [kind as keyof typeof kinds, name] as const),
);

test.each([...sending, ['allReduce', 'doubleBinaryTree'] as const])(
  '%s by %s counts the bytes that its messages carry',
  (kind, implementation) => {
    for (const npus of [2, 4, 8]) {
      const dims = [{ kind: 'Switch' as const, npus, bandwidthGBps: 50, latencyNs: 500 }];
      const machine = createMachine(
        spec(npus, {
          fastPaths: false,
          splits: 20,
          network: { congestion: 'unaware', dims },
          collectives: { ...ringCollectives, [kind]: implementation },
        }),
      );
      const builder = new GraphBuilder();
      // Nineteen chunks of 3,200 bytes and a shorter one, all of them multiples of 16.
      collective(builder, kinds[kind], 63_984);
      const all = Array.from({ length: npus }, (_, npu) => npu);
      machine.submit(set(0, [{ npus: all, graph: builder.finish() }]));
      const done = machine.runUntil(Number.MAX_SAFE_INTEGER);
      const sent = machine.counters().npus.reduce((sum, npu) => sum + npu.sentBytes, 0);
      expect(done?.commBytes).toBe(sent);
    }
  },
);
