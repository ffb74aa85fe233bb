/**
 * Length distributions of public workloads, as quantiles (see `quantileFractions`) that we took from
 * the named data. Only these numbers are here, nothing of the texts.
 */
import type { Length } from './lengths.js';

interface Preset {
  readonly about: string;
  readonly source: string;
  /** Prompt of a first turn. */
  readonly prompt: Length;
  readonly output: Length;
  /** What a later turn adds to its conversation. */
  readonly turn: Length;
  /** Mean turns of a conversation seen in the source. */
  readonly meanTurns: number;
}

const quantiles = (...values: number[]): Length => ({ kind: 'quantiles', values });

const shortTurn = quantiles(1, 1, 1, 4, 13, 32, 107, 252, 429, 475);

export const presets: Readonly<Record<string, Preset>> = {
  sharegpt: {
    about: 'ShareGPT chat with long answers: prompts of about 800 tokens, answers of 512 to 1024',
    source: 'LLMServingSim v1 workload sharegpt-llama-3.1-8b-300-sps10 (300 requests)',
    prompt: quantiles(262, 305, 359, 461, 654, 974, 1366, 1745, 2802, 3998),
    output: quantiles(512, 524, 531, 562, 632, 767, 770, 773, 784, 1021),
    turn: shortTurn,
    meanTurns: 1.115,
  },
  'sharegpt-short': {
    about: 'ShareGPT chat as typed: half of the prompts under 30 tokens, answers of about 280',
    source: 'LLMServingSim v0 workload sharegpt_req300_rate10_llama (300 requests)',
    prompt: quantiles(1, 5, 7, 12, 28, 145, 851, 1049, 1621, 1998),
    output: quantiles(1, 24, 58, 147, 268, 370, 510, 633, 767, 769),
    turn: quantiles(1, 1, 2, 6, 16, 43, 148, 377, 801, 917),
    meanTurns: 1.095,
  },
  conversation: {
    about: 'a production chat service: prompts of about 1150 tokens, answers of about 210',
    source: 'Azure 2023 conversation trace as processed by Vidur (splitwise_conv, 19366 requests)',
    prompt: quantiles(2, 181, 207, 396, 1020, 1189, 2734, 4083, 4142, 14050),
    output: quantiles(7, 41, 54, 85, 129, 395, 424, 451, 601, 1000),
    turn: shortTurn,
    meanTurns: 1,
  },
  code: {
    about:
      'a production code completion service: prompts of about 2050 tokens, answers of about 28',
    source: 'Azure 2023 code trace as processed by Vidur (splitwise_code, 8819 requests)',
    prompt: quantiles(3, 75, 147, 578, 1469, 2744, 5188, 7303, 7436, 7437),
    output: quantiles(6, 6, 7, 9, 13, 24, 55, 90, 251, 1899),
    turn: shortTurn,
    meanTurns: 1,
  },
  summarisation: {
    about: 'arXiv summarisation: prompts of about 2600 tokens, answers of about 290',
    source: 'arXiv summarisation lengths as processed by Vidur (28257 requests)',
    prompt: quantiles(1, 749, 1242, 1986, 2730, 3370, 3702, 3813, 3933, 4054),
    output: quantiles(5, 60, 78, 115, 167, 242, 372, 736, 3271, 4056),
    turn: shortTurn,
    meanTurns: 1,
  },
};
