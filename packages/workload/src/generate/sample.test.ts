// Goal: the shipped sample is what its documented command makes.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generate } from './generate.js';
import { presets } from './presets.js';

describe('cluster_config/workloads/sharegpt-like-300.ndjson', () => {
  it('is `workload generate --preset sharegpt --requests 300 --rate 10 --seed 42`', () => {
    const path = '../../../../cluster_config/workloads/sharegpt-like-300.ndjson';
    const shipped = readFileSync(new URL(path, import.meta.url), 'utf8');
    const { prompt, output, turn, meanTurns } = presets.sharegpt;
    const requests = generate({
      count: 300,
      shape: 'multi-turn',
      arrivals: {
        process: 'poisson',
        ratePerS: 10,
        gapCv: 2,
        pulseRequests: 50,
        pulseGapS: 15,
        seed: 42,
      },
      prompt,
      output,
      turn,
      meanTurns,
      meanThinkS: 5,
      branches: 3,
      branchShare: 0.3,
      systemPromptTokens: 0,
      systemPromptGroups: 1,
      maxTokens: 32768,
      seed: 42,
    });
    const text = [...requests].map((request) => `${JSON.stringify(request)}\n`).join('');
    expect(text).toBe(shipped);
  });
});
