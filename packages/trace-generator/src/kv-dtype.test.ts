/** A narrower KV cache: decodes take the time of as many bytes, everything else its own. */
import { tinyModel } from '@astrolabe/config/tiny-model';
import { expect, test } from 'vitest';
import { exampleCluster } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator } from './generate.js';
import type { TermSwitches } from './terms.js';

/** Attention of one layer, 1 ns per new token and token of context, and the operator before it. */
function attentionNs(
  kvCacheDtype: string,
  newTokens: readonly number[],
  terms: TermSwitches = {},
  latency = exampleLatency(fusedOperators),
) {
  const generator = createTraceGenerator({
    cluster: exampleCluster([{ kv_cache_dtype: kvCacheDtype }], tinyModel),
    latencyModelFor: () => latency,
    terms,
  });
  const { graph } = generator.generate({
    instance: 0,
    iteration: 0,
    releaseNs: 0,
    requests: newTokens.map((_, i) => i),
    newTokens: [...newTokens],
    contextTokens: newTokens.map((_, i) => 100 * (i + 1)),
  }).programs[0];
  return [graph.durationNs[3], graph.durationNs[4]];
}

test('decodes over a cache half as wide take half their context; chunks and the rest do not change', () => {
  const [rotaryNs, wideNs] = attentionNs('auto', [1, 1]);
  expect(wideNs).toBe(100 + 200);
  expect(attentionNs('fp8', [1, 1])).toEqual([rotaryNs, 150]);
  expect(attentionNs('bfloat16', [1, 1])).toEqual([rotaryNs, 300]);
  expect(attentionNs('float32', [1, 1])).toEqual([rotaryNs, 600]);
  // The chunk of 7 after 200, whole, and the decode after 100, half.
  expect(attentionNs('fp8', [1, 7])[1]).toBe(50 + 7 + 200);
  expect(attentionNs('fp8', [1, 1], { kvDtype: false })[1]).toBe(300);
});

test('a profile that was measured with the cache is taken as it is', () => {
  const measured = { ...exampleLatency(fusedOperators), dtype: 'bf16-kvfp8' };
  expect(attentionNs('fp8', [1, 1], {}, measured)[1]).toBe(300);
});

test('longest contexts are of the narrow cache, too', () => {
  const seen: (readonly number[])[] = [];
  const generator = createTraceGenerator({
    cluster: exampleCluster([{ kv_cache_dtype: 'fp8' }], tinyModel),
    latencyModelFor: () => ({
      ...exampleLatency(fusedOperators),
      attentionNs: (_, { decodeContexts, decodeCount }) => {
        seen.push(Array.from({ length: decodeCount }, (__, i) => decodeContexts?.[i] ?? -1));
        return 1;
      },
    }),
  });
  const decodes = Array.from({ length: 70 }, (_, i) => i);
  generator.generate({
    instance: 0,
    iteration: 0,
    releaseNs: 0,
    requests: decodes,
    newTokens: decodes.map(() => 1),
    contextTokens: decodes.map((i) => 2 * i + 2),
  });
  expect(seen[0]).toEqual(decodes.map((i) => i + 1));
});
