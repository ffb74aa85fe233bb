/** Routing policies on made-up instances, and the user's own. */
import { describe, expect, it } from 'vitest';
import { clusterOf, runFixed } from '../machine.test-helper.js';
import { Router, type RoutingPolicy } from '../router.js';
import type { InstanceView, RoutedRequest } from './policies.js';

const instance = (index: number, view: Partial<InstanceView> = {}): InstanceView => ({
  index,
  name: `i${index}`,
  hardware: 'X',
  role: 'colocated',
  numWaiting: 0,
  numRunning: 0,
  maxNumSeqs: 100,
  queuedTokens: 0,
  kvUsage: 0,
  weight: 1,
  ...view,
});

const request = (
  index: number,
  { session = `s${index}`, hits = [] as number[], promptTokens = 100 } = {},
): RoutedRequest => ({
  index,
  promptTokens,
  session,
  prefixHitTokens: (position) => hits[position] ?? 0,
});

function choices(
  policy: RoutingPolicy,
  candidates: readonly InstanceView[],
  requests: readonly RoutedRequest[],
): number[] {
  const router = new Router(policy, 1);
  return requests.map((entry) => router.choose(candidates, entry).index);
}

const three = [0, 1, 2, 3].map((index) => request(index));

describe('routing policies', () => {
  it('round robin takes turns; random repeats with the seed', () => {
    const two = [instance(0), instance(1)];
    expect(choices('round-robin', two, three)).toEqual([0, 1, 0, 1]);
    expect(choices('random', two, three)).toEqual(choices('random', two, three));
  });

  it('least loaded: 4 waiting + running, over the seats', () => {
    const unequal = [instance(0, { numRunning: 9 }), instance(1, { numWaiting: 2 })];
    expect(choices('least-loaded', unequal, [request(0)])).toEqual([1]);
    const fewer = [instance(0, { numRunning: 7 }), instance(1, { numWaiting: 2 })];
    expect(choices('least-loaded', fewer, [request(0)])).toEqual([0]);
    const seats = [instance(0, { numRunning: 9 }), instance(1, { numWaiting: 2, maxNumSeqs: 10 })];
    expect(choices('least-loaded', seats, [request(0)])).toEqual([0]);
  });

  it('shortest queue counts prompt tokens, not requests', () => {
    const queues = [
      instance(0, { numWaiting: 1, queuedTokens: 5000 }),
      instance(1, { numWaiting: 20, queuedTokens: 400 }),
    ];
    expect(choices('shortest-queue', queues, [request(0)])).toEqual([1]);
  });

  it('prefix-aware goes where the prefix is, unless it is short or the instance is swamped', () => {
    const calm = [instance(0), instance(1, { numRunning: 10 })];
    expect(choices('prefix-aware', calm, [request(0, { hits: [0, 80] })])).toEqual([1]);
    expect(choices('prefix-aware', calm, [request(0, { hits: [0, 16] })])).toEqual([0]);
    const swamped = [instance(0), instance(1, { numRunning: 90 })];
    expect(choices('prefix-aware', swamped, [request(0, { hits: [0, 80] })])).toEqual([0]);
  });

  it('prefix-aware: 30 % is enough, 64 more is not too many, nor is half as many again', () => {
    const choose = (hits: number, least: number, most: number): number[] => {
      const two = [instance(0, { numRunning: least }), instance(1, { numRunning: most })];
      return choices('prefix-aware', two, [request(0, { hits: [0, hits] })]);
    };
    expect([choose(30, 0, 1), choose(29, 0, 1)]).toEqual([[1], [0]]);
    expect([choose(80, 0, 64), choose(80, 0, 65)]).toEqual([[1], [0]]);
    expect([choose(80, 200, 300), choose(80, 200, 301)]).toEqual([[1], [0]]);
  });

  it('session-affine keeps a conversation where it began', () => {
    const turns = ['a', 'b', 'a', 'b', 'a'].map((session, index) => request(index, { session }));
    expect(choices('session-affine', [instance(0), instance(1)], turns)).toEqual([0, 1, 0, 1, 0]);
  });

  it('weighted gives a device of three times the speed three times the requests', () => {
    const counts = [0, 0];
    const router = new Router('weighted', 1);
    for (let i = 0; i < 40; i++) {
      const views = counts.map((numRunning, index) =>
        instance(index, { numRunning, weight: index === 0 ? 1 : 3 }),
      );
      counts[router.choose(views, request(i)).index]++;
    }
    expect(counts).toEqual([10, 30]);
  });

  it('stages count with the memory of their own devices', async () => {
    const memory = (mem_bw: number) => ({ mem_size: 1, mem_bw });
    const stages = { tp_size: 2, pp_size: 2, npu_mem: memory(1000) };
    const cluster = clusterOf([
      stages,
      { ...stages, stage_npu_mem: [memory(3000), memory(4000)] },
      { ...stages, stage_npu_mem: [memory(3000), memory(4000)], router_weight: 5 },
    ]);
    const { engines } = await runFixed({ cluster, requests: [] });
    expect(engines.map(({ weight }) => weight)).toEqual([4000, 14_000, 5]);
  });

  it("a user's function is called with state of its own, and held to the candidates", () => {
    const router = new Router((candidates, _request, state) => {
      const calls = ((state.memory.get('calls') as number | undefined) ?? 0) + 1;
      state.memory.set('calls', calls);
      return calls > 2 ? candidates.length : candidates.length - 1;
    }, 1);
    const two = [instance(0), instance(1)];
    expect(router.choose(two, request(0)).index).toBe(1);
    expect(router.choose(two, request(1)).index).toBe(1);
    expect(() => router.choose(two, request(7))).toThrow(
      'the routing policy answered 2 for request 7: there are 2 candidates, numbered from 0',
    );
  });
});
