/** Where chunks of KV lie: those of one prompt, whose blocks' contents are numbered on. */
import { expect, test } from 'vitest';
import { clusterOf } from '../machine.test-helper.js';
import { RequestState } from '../request-state.js';
import { buildTiers } from './build-tiers.js';
import { chunkMoves } from './chunk-moves.js';

test('chunks of a prompt are on all CXL devices in turn, whatever their size', () => {
  const cxl_mem = { mem_size: 1, mem_bw: 60, mem_latency: 250, num_devices: 4 };
  const bytesOf = (chunk_tokens: number): number[] => {
    const kv_tiers = [{ tier: 'cxl', chunk_tokens }];
    const cluster = clusterOf([{}], { cluster: { cxl_mem, kv_tiers } });
    const [tiers] = buildTiers(cluster).instances;
    const request = new RequestState(0, 2048, 1, 0);
    request.blockContents = Int32Array.from({ length: 128 }, (_, block) => 1000 + block);
    const chunks = tiers?.writeDown(request, 2048) ?? [];
    const moves = chunkMoves(cluster.instances[0], chunks, 'store');
    return moves.map(({ bytes }) => bytes / chunks[0].tier.chunkBytes);
  };
  expect(bytesOf(16)).toEqual([32, 32, 32, 32]);
  expect(bytesOf(256)).toEqual([2, 2, 2, 2]);
});
