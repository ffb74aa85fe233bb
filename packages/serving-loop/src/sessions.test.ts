/**
 * Sessions: a call never starts before all it follows have ended and its tool time has passed, on
 * random agentic graphs, and a thousand sessions at once.
 */
import { Random } from '@astrolabe/base';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { clusterOf, runFixed } from './machine.test-helper.js';
import { requestResults } from './metrics.js';
import type { RunResult } from './run-result.js';

/** Calls that fan out and join, each after tool time, contexts growing along the way. */
function agenticSessions(seed: number, sessions: number, gapNs: number): Request[] {
  const random = new Random(seed, 'sessions');
  const requests: Request[] = [];
  for (let s = 0; s < sessions; s++) {
    const arrivalNs = s * gapNs;
    let last: number[] = [];
    const steps = 1 + random.below(4);
    for (let step = 0; step < steps; step++) {
      const branches = random.below(3) === 0 ? 1 + random.below(3) : 1;
      const calls: number[] = [];
      for (let branch = 0; branch < branches; branch++) {
        const id = requests.length;
        const request: Request = {
          id,
          session: `s${s}`,
          arrivalNs,
          promptTokens: 40 + step * 60 + random.below(40),
          outputTokens: 1 + random.below(20),
        };
        if (last.length > 0) {
          const parent = requests[last[0]];
          request.after = [...last];
          request.thinkNs = random.below(500_000);
          request.prefix = { of: parent.id, tokens: Math.min(parent.promptTokens, 40) };
        }
        requests.push(request);
        calls.push(id);
      }
      last = calls;
    }
  }
  return requests;
}

function checkOrder(requests: readonly Request[], run: RunResult): void {
  const results = requestResults(run);
  for (const [index, request] of requests.entries()) {
    const row = results[index];
    expect(row.status).toBe('finished');
    let earliestNs = request.arrivalNs;
    for (const parent of request.after ?? []) {
      const parentEndNs = results[Number(parent)].finishNs ?? Number.POSITIVE_INFINITY;
      earliestNs = Math.max(earliestNs, parentEndNs + (request.thinkNs ?? 0));
    }
    expect(row.arrivalNs).toBe(earliestNs);
    expect(row.scheduledNs ?? -1).toBeGreaterThanOrEqual(earliestNs);
  }
}

describe('sessions', () => {
  it('a call waits for all it follows plus tool time: 200 random workloads', async () => {
    for (let seed = 0; seed < 200; seed++) {
      const requests = agenticSessions(seed, 6, 50_000);
      const engine = { max_num_seqs: 1 + (seed % 5), async_scheduling: seed % 2 === 0 };
      const cluster = clusterOf([engine, engine]);
      checkOrder(requests, await runFixed({ cluster, requests, times: { stepNs: 7_000 } }));
    }
  });

  it('a thousand sessions run, in order, and later calls hit their context', async () => {
    const requests = agenticSessions(1, 1000, 200_000);
    const cluster = clusterOf([{ kv_blocks: 4000 }, { kv_blocks: 4000 }]);
    const inputs = { cluster, requests, times: { stepNs: 20_000 } };
    const run = await runFixed({ ...inputs, routing: 'session-affine' });
    checkOrder(requests, run);
    const hits = (result: RunResult): number =>
      result.states.reduce((sum, state) => sum + state.prefixHitTokens, 0);
    // Sent in turn, many calls miss what their parent left on the other instance.
    expect(hits(run)).toBeGreaterThan(1.3 * hits(await runFixed(inputs)));
  });
});
