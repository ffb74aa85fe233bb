/**
 * ASTRA-sim's system file (JSON). Units: delays ns, `local-mem-bw` GB/s of 10^9, `peak-perf` TFLOPS of
 * 10^12. Strict by default: unknown keys are errors, keys that ASTRA-sim reads and ignores are
 * accepted. `compat` reads as ASTRA-sim does: unknown keys pass, a missing key has its default there,
 * and a switch is on unless it is the number 0, so JSON `false` switches on.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';
import type { ReadMode } from './astra-network.js';

const implementationPattern =
  /^(ring|oneRing|direct\d*|oneDirect\d*|halvingDoubling|oneHalvingDoubling|doubleBinaryTree)$/;

const implementation = z
  .string()
  .regex(
    implementationPattern,
    'expected ring, direct, direct<k>, halvingDoubling, doubleBinaryTree or a one* form',
  );
const implementations = z.array(implementation).min(1).describe('one entry per dimension');
const customPrefix = z
  .array(z.string())
  .length(1)
  .describe('path prefix of the algorithm as traces');
const flag = z.union([z.boolean(), z.literal(0), z.literal(1)]);
const nonNegative = z.number().nonnegative();

const astraSystemSchema = z
  .strictObject({
    'scheduling-policy': z.enum(['LIFO', 'FIFO', 'EXPLICIT']).default('LIFO'),
    'all-reduce-implementation': implementations.optional(),
    'all-gather-implementation': implementations.optional(),
    'reduce-scatter-implementation': implementations.optional(),
    'all-to-all-implementation': implementations.optional(),
    'all-reduce-implementation-custom': customPrefix.optional(),
    'all-gather-implementation-custom': customPrefix.optional(),
    'reduce-scatter-implementation-custom': customPrefix.optional(),
    'all-to-all-implementation-custom': customPrefix.optional(),
    'per-node-custom-implementation': z.string().optional(),
    'collective-optimization': z.enum(['baseline', 'localBWAware']).default('baseline'),
    'preferred-dataset-splits': z.number().int().positive().describe('chunks per collective'),
    'active-chunks-per-dimension': z.number().int().positive().default(1),
    'endpoint-delay': nonNegative.default(10).describe('ns'),
    'local-mem-bw': nonNegative.default(0).describe('GB/s; 0 makes reductions free'),
    'peak-perf': nonNegative.default(0).describe('TFLOPS'),
    'roofline-enabled': flag.default(0),
    'trace-enabled': flag.default(0),
    'replay-only': flag.default(0),
    'track-local-mem': flag.default(0),
    'local-mem-trace-filename': z.string().default('local_mem_trace'),
    'model-shared-bus': flag.default(0),
    L: nonNegative.default(0),
    o: nonNegative.default(0),
    g: nonNegative.default(0),
    G: nonNegative.default(0),
    'local-reduction-delay': nonNegative.default(1),
    'intra-dimension-scheduling': z.string().optional().describe('ignored by ASTRA-sim'),
    'inter-dimension-scheduling': z.string().optional().describe('ignored by ASTRA-sim'),
    'boost-mode': z.number().optional().describe('ignored by ASTRA-sim'),
  })
  .describe('ASTRA-sim system file');

export interface AstraSystem {
  readonly implementations: {
    readonly allReduce: readonly string[] | undefined;
    readonly allGather: readonly string[] | undefined;
    readonly reduceScatter: readonly string[] | undefined;
    readonly allToAll: readonly string[] | undefined;
  };
  /** Path prefixes of collectives given as traces. */
  readonly custom: {
    readonly allReduce: string | undefined;
    readonly allGather: string | undefined;
    readonly reduceScatter: string | undefined;
    readonly allToAll: string | undefined;
  };
  /** YAML file of node id to path prefix. */
  readonly perNodeCustom: string | undefined;
  readonly localBwAware: boolean;
  readonly splits: number;
  readonly activeChunks: number;
  /** Before `injection-scale`; undefined when the file has none (then 10, unscaled). */
  readonly endpointDelayNs: number | undefined;
  readonly localMemoryBandwidthGBps: number;
  readonly peakTflops: number;
  readonly roofline: boolean;
  readonly replayOnly: boolean;
  readonly trackLocalMemory: boolean;
  readonly localMemoryTrace: string;
  readonly sharedBus:
    | { readonly L: number; readonly o: number; readonly g: number; readonly G: number }
    | undefined;
  readonly localReductionDelay: number;
}

/** Every chunk is an object of the run. */
const mostChunks = 2 ** 20;

const compatSystemSchema = z.looseObject({});

/** @throws UserError with file and JSON path */
export function parseAstraSystem(value: unknown, at: string, mode: ReadMode): AstraSystem {
  const file: Record<string, unknown> =
    mode === 'compat'
      ? parseWith(compatSystemSchema, value, at)
      : parseWith(astraSystemSchema, value, at);
  const read = new Reader(file, at);
  const policy = read.text('scheduling-policy');
  if (policy !== undefined && !['LIFO', 'FIFO', 'EXPLICIT'].includes(policy)) {
    throw new UserError(`"${policy}" is no scheduling policy`, { at: `${at}: scheduling-policy` });
  }
  const endpointDelayNs = read.number('endpoint-delay', 10);
  if (endpointDelayNs < 0) {
    throw new UserError(`expected a number >= 0, got ${endpointDelayNs}`, {
      at: `${at}: endpoint-delay`,
    });
  }
  const splits = read.number('preferred-dataset-splits', 0);
  if (splits > mostChunks) {
    throw new UserError(`expected ${mostChunks} chunks at most, got ${splits}`, {
      at: `${at}: preferred-dataset-splits`,
    });
  }
  const stated = typeof value === 'object' && value !== null && 'endpoint-delay' in value;
  return {
    implementations: {
      allReduce: read.implementations('all-reduce-implementation'),
      allGather: read.implementations('all-gather-implementation'),
      reduceScatter: read.implementations('reduce-scatter-implementation'),
      allToAll: read.implementations('all-to-all-implementation'),
    },
    custom: {
      allReduce: read.prefix('all-reduce-implementation-custom'),
      allGather: read.prefix('all-gather-implementation-custom'),
      reduceScatter: read.prefix('reduce-scatter-implementation-custom'),
      allToAll: read.prefix('all-to-all-implementation-custom'),
    },
    perNodeCustom: read.text('per-node-custom-implementation'),
    localBwAware: read.text('collective-optimization') === 'localBWAware',
    splits,
    activeChunks: read.number('active-chunks-per-dimension', 1),
    endpointDelayNs: stated ? endpointDelayNs : undefined,
    localMemoryBandwidthGBps: read.number('local-mem-bw', 0),
    peakTflops: read.number('peak-perf', 0),
    roofline: isOn(file['roofline-enabled'], mode),
    replayOnly: isOn(file['replay-only'], mode),
    trackLocalMemory: isOn(file['track-local-mem'], mode),
    localMemoryTrace: read.text('local-mem-trace-filename') ?? 'local_mem_trace',
    sharedBus: isBusOn(file['model-shared-bus'])
      ? {
          L: read.number('L', 0),
          o: read.number('o', 0),
          g: read.number('g', 0),
          G: read.number('G', 0),
        }
      : undefined,
    localReductionDelay: read.number('local-reduction-delay', 1),
  };
}

/** ASTRA-sim compares with the number 0, so there JSON `false` counts as on. */
function isOn(value: unknown, mode: ReadMode): boolean {
  if (value === undefined || value === 0) return false;
  return mode === 'compat' || value !== false;
}

function isBusOn(value: unknown): boolean {
  return value === 1 || value === true;
}

class Reader {
  private readonly file: Record<string, unknown>;
  private readonly at: string;

  constructor(file: Record<string, unknown>, at: string) {
    this.file = file;
    this.at = at;
  }

  number(key: string, absent: number): number {
    const value = this.file[key];
    if (value === undefined) return absent;
    if (typeof value === 'number') return value;
    throw new UserError(`expected a number, got ${JSON.stringify(value)}`, {
      at: `${this.at}: ${key}`,
    });
  }

  text(key: string): string | undefined {
    const value = this.file[key];
    if (value === undefined || typeof value === 'string') return value;
    throw new UserError(`expected a string, got ${JSON.stringify(value)}`, {
      at: `${this.at}: ${key}`,
    });
  }

  implementations(key: string): string[] | undefined {
    const value = this.file[key];
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) {
      throw new UserError('expected a list with an entry per dimension', {
        at: `${this.at}: ${key}`,
      });
    }
    return value.map((entry, i) => {
      if (typeof entry === 'string' && implementationPattern.test(entry)) return entry;
      throw new UserError(`${JSON.stringify(entry)} is no collective implementation`, {
        at: `${this.at}: ${key}[${i}]`,
      });
    });
  }

  prefix(key: string): string | undefined {
    const value = this.file[key];
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.length === 1 && typeof value[0] === 'string') return value[0];
    throw new UserError('expected a list with exactly one path prefix', {
      at: `${this.at}: ${key}`,
    });
  }
}
