/** What in a workload limits the answer is said where it does, and not where it does not. */
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import type { RequestResult } from './metrics.js';
import { type WorkloadUse, workloadFindings } from './workload-findings.js';

/** A request a second, each served in 2 s; ids make the lint quiet. */
function use(count: number, changes: Partial<WorkloadUse> = {}): string[] {
  const requests: Request[] = Array.from({ length: count }, (_, i) => ({
    id: i,
    arrivalNs: i * 1e9,
    promptTokens: 10,
    outputTokens: 2,
    promptTokenIds: Array.from({ length: 10 }, (_, k) => i * 10 + k),
  }));
  const results: RequestResult[] = requests.map(({ arrivalNs, promptTokens }, i) => ({
    request: i,
    instance: 0,
    promptTokens,
    outputTokens: 2,
    arrivalNs,
    scheduledNs: arrivalNs + 1e9,
    firstTokenNs: arrivalNs + 2e9,
    finishNs: arrivalNs + 3e9,
    queueingNs: 1e9,
    ttftNs: 2e9,
    tpotNs: 1e9,
    itlMeanNs: 1e9,
    latencyNs: 3e9,
    preemptions: 0,
    prefixHitTokens: 0,
    status: 'finished',
  }));
  const makespanS = count + 2;
  const given = {
    requests,
    results,
    makespanS,
    warmUpNs: 0,
    prefixCaching: true,
    sloClasses: [],
  };
  return workloadFindings({ ...given, ...changes });
}

describe('workloadFindings', () => {
  it('has nothing to say of a long run of many requests', () => {
    expect(use(150)).toEqual([]);
  });

  it('names classes that have targets and no request', () => {
    const classes: Request[] = ['chat', undefined].map((sloClass, id) => ({
      id,
      arrivalNs: id,
      promptTokens: 1,
      outputTokens: 2,
      promptTokenIds: [id],
      ...(sloClass && { sloClass }),
    }));
    const sloClasses = ['*', 'chat', 'chta'];
    const none = 'no request is of class chta, which has targets';
    expect(use(150, { requests: classes, sloClasses })).toEqual([none]);
  });

  it('gives the lint, the first few', () => {
    const bad = (id: number) => ({ id, arrivalNs: 0, promptTokens: 0, outputTokens: 1 });
    const found = use(150, { requests: [0, 1, 2, 3, 4, 5, 6].map(bad) });
    expect(found).toHaveLength(6);
    expect(found[0]).toMatch(/^request 0: error: /);
    expect(found[5]).toMatch(/^and \d+ more$/);
  });

  it.each([
    [1, 'all percentiles are of one request'],
    [21, 'p95 and p99 rest on the slowest two of 21 requests'],
    [22, 'p99 rests on the slowest two of 22 requests'],
    [101, 'p99 rests on the slowest two of 101 requests'],
  ])('says on how little percentiles of %d requests rest', (count, text) => {
    expect(use(count)).toContain(text);
  });

  it('says nothing of percentiles from 102 requests on', () => {
    expect(use(102).join()).not.toContain('slowest');
  });

  it('says which classes are too small for a p99, where all together are not', () => {
    const mixed = (small: number): Request[] =>
      Array.from({ length: 250 }, (_, i) => ({
        id: i,
        arrivalNs: i * 1e9,
        promptTokens: 1,
        outputTokens: 2,
        promptTokenIds: [i],
        ...(i < small ? { sloClass: 'batch' } : {}),
      }));
    expect(use(250, { requests: mixed(20) })).toEqual([
      'p99 of class batch says little: only 20 finished',
    ]);
    expect(use(250, { requests: mixed(240) })).toEqual([
      'p99 of requests without a class says little: only 10 finished',
    ]);
    expect(use(250, { requests: mixed(125) })).toEqual([]);
    expect(use(90, { requests: mixed(10) }).join()).not.toContain('says little');
  });

  it('says how much of the run fills or empties the service, unless all came at once', () => {
    // Twice 2 s of 10 s; of 21 s it is less than a fifth.
    expect(use(8).join()).toContain('up to 40 % of the makespan, as serving a request takes 2.0 s');
    expect(use(18).join()).toContain('up to 20 % of the makespan');
    expect(use(19).join()).not.toContain('empties');
    const atOnce = [1, 2, 3].map(() => ({ latencyNs: 2e9, arrivalNs: 0, status: 'finished' }));
    const results = atOnce as unknown as RequestResult[];
    expect(use(8, { results }).join()).not.toContain('empties');
  });

  it('weighs the warm-up', () => {
    expect(use(150, { warmUpNs: 3.04e9 })).toEqual([
      'warm-up (3.04 s, once) is 2 % of the makespan',
    ]);
    expect(use(150, { warmUpNs: 1.5e9 })).toEqual([]);
  });

  it('counts prompts that a prefix cache would have known, where it is off', () => {
    const requests: Request[] = Array.from({ length: 150 }, (_, i) => ({
      id: i,
      arrivalNs: i * 1e9,
      promptTokens: 10,
      outputTokens: 2,
      // No more of a prompt is known than it has.
      ...(i < 75 ? {} : { prefix: { of: i - 75, tokens: i < 150 - 5 ? 4 : 12 } }),
    }));
    expect(use(150, { requests })).toEqual([]);
    // 70 x 4 + 5 x 10 of 1500 tokens.
    expect(use(150, { requests, prefixCaching: false })).toEqual([
      '22 % of prompt tokens repeat earlier requests, and prefix caching is off',
    ]);
    expect(use(150, { prefixCaching: false })).toEqual([]);
    const knownOf = (count: number): Request[] =>
      requests.map((request, i) => {
        const prefix = { of: i - 75, tokens: 1 };
        return i < 150 - count ? { ...request, prefix: undefined } : { ...request, prefix };
      }) as Request[];
    expect(use(150, { requests: knownOf(75), prefixCaching: false }).join()).toContain('5 %');
    expect(use(150, { requests: knownOf(74), prefixCaching: false }).join()).not.toContain('%');
  });
});
