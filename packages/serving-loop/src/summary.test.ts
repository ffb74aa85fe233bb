/** What the summary tells the trust card of a run. */
import type { Calibration } from '@astrolabe/config';
import type { MeasurementKind } from '@astrolabe/profile';
import { describe, expect, it } from 'vitest';
import { clusterOf, runFixed } from './machine.test-helper.js';
import { requestResults } from './metrics.js';
import { type SummaryContext, summarise } from './summary.js';

const device = { source: 's', step_overhead_ns: 0, front_end_delay_ns: 0, warm_up_ns: 2e9 };

async function trustOf(instance: object, context: Partial<SummaryContext>) {
  const requests = [{ id: 0, arrivalNs: 0, promptTokens: 100, outputTokens: 3 }];
  const run = await runFixed({ cluster: clusterOf([instance]), requests });
  const { trust, fitted } = summarise(run, requestResults(run), {
    fitted: ['X: s'],
    lookups: undefined,
    ...context,
  });
  return { ...trust, fitted };
}

describe('summarise', () => {
  it('counts the devices of all stages and of a feed-forward pool', async () => {
    const calibration: Calibration = { devices: { X: { ...device, models: ['other'] } } };
    expect(await trustOf({}, { calibration })).toMatchObject({
      basis: 'fitted',
      constantsElsewhere: ['X: fitted on other, used for example'],
    });
    const stages = { pp_size: 2, stage_hardware: ['X', 'Y'] };
    expect((await trustOf(stages, { calibration })).basis).toBe('partly fitted');
    expect((await trustOf({ ...stages, stage_hardware: ['X', 'X'] }, { calibration })).basis).toBe(
      'fitted',
    );
    const ffn = { hardware: 'Y', tp_size: 1, npu_mem: { mem_size: 1, mem_bw: 1000 } };
    expect((await trustOf({ ffn }, { calibration })).basis).toBe('partly fitted');
  });

  it('names the devices of all stages and of a feed-forward pool, each once', async () => {
    const ffn = { hardware: 'Y', tp_size: 1, npu_mem: { mem_size: 1, mem_bw: 1000 } };
    const instances = [{}, { pp_size: 2, stage_hardware: ['Y', 'X'] }, { ffn }];
    const requests = [{ id: 0, arrivalNs: 0, promptTokens: 100, outputTokens: 3 }];
    const run = await runFixed({ cluster: clusterOf(instances), requests });
    const summary = summarise(run, requestResults(run), { fitted: [], lookups: undefined });
    expect(summary.instances.map(({ hardware }) => hardware)).toEqual(['X', 'Y + X', 'X + Y']);
  });

  it('passes on which fitted links the cluster file keeps out', async () => {
    const unusedLinks = ['the link fitted for X is not used'];
    expect((await trustOf({}, { unusedLinks })).assumed).toEqual(unusedLinks);
    expect((await trustOf({}, {})).assumed).toBeUndefined();
  });

  const calibration: Calibration = {
    devices: { X: device },
    model_form_pct: {
      source: 's',
      ttft: 1,
      tpot: 1,
      latency: 1,
      makespan: 1,
      link: 0,
      other_models: 1,
    },
  };

  it('gives intervals for measured operator times only, as far as is known', async () => {
    const of = async (...kinds: MeasurementKind[]) => {
      const about = { hardware: 'X', model: 'm', dtype: 'bf16', source: 's' };
      const profiles = kinds.map((measurement) => ({ ...about, measurement }));
      const lookups = { total: 1, extrapolatedShare: 0, profiles };
      return (await trustOf({}, { calibration, lookups })).intervals90;
    };
    expect(await of('kernel', 'cuda_event', 'wall_clock')).not.toBeNull();
    for (const kind of ['predicted', 'simulated', 'roofline', 'derived', 'unknown'] as const) {
      expect(await of('kernel', kind)).toBeNull();
    }
  });

  it('says what is assumed of drafts and KV caches, and gives no intervals for it', async () => {
    const plain = await trustOf({}, { calibration });
    expect(plain.intervals90).not.toBeNull();
    expect(plain).not.toHaveProperty('assumed');
    const drafts = await trustOf({ speculative_tokens: 2 }, { calibration });
    expect(drafts.intervals90).toBeNull();
    expect(drafts.assumed?.join()).toMatch(/accepted with chance 0.7 and takes no time/);
    const narrow = await trustOf({ kv_cache_dtype: 'fp8' }, { calibration });
    expect(narrow).toMatchObject({
      intervals90: null,
      assumed: [expect.stringContaining('what fp8 changes')],
    });
  });

  it('leaves out what only our stages do where they are others', async () => {
    const calibration: Calibration = { devices: { X: device } };
    const warmUp = /warm-up \(2.00 s/;
    const ours = await trustOf({}, { calibration });
    expect(ours.workload.join()).toMatch(warmUp);
    expect(ours.fitted).toEqual(['X: s']);
    const theirs = await trustOf({}, { calibration, foreign: { traceGenerator: 'jq' } });
    expect(theirs).toMatchObject({ basis: 'predicted', fitted: [] });
    expect(theirs.workload.join()).not.toMatch(warmUp);
  });
});
