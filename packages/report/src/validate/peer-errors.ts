/**
 * Errors of LLMServingSim 2.0's published results against the same measurements, percent, computed from
 * the files of its artifact with arithmetic means. Throughput WAPE and memory errors have no sign.
 */
import type { Figures } from './figures.js';

export const peerErrors: Readonly<Record<string, Figures>> = {
  'fig8-h100-sd': { throughput: -1.2, ttftMean: -6.7, tpotMean: 1.5 },
  'fig8-h100-md': { throughput: -1.6, ttftMean: -6.5, tpotMean: 1.6, throughputWape: 2.2 },
  'fig5-a6000-sd-pc': { throughputWape: 9.5, cumulativeTokens: 1.12 },
  'fig5-a6000-md': { throughputWape: 5.2, cumulativeTokens: 0.5 },
  'fig5-a6000-sm': { throughputWape: 8.9, cumulativeTokens: 1.1 },
  'fig6-a6000-tp1-power': { energy: 1.2, powerMape: 2.2 },
  'fig7-a6000-sd-pc': { memoryMape: 0.9 },
  'fig7-a6000-md-pc-ps': { memoryMape: 7 },
  'fig9-tpu-sd': { throughput: -0.2, ttftMean: -16.8, tpotMean: -0.2, throughputWape: 4.7 },
};
