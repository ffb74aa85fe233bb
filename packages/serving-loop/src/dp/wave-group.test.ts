/** Data-parallel ranks that share experts, worked by hand: every step of every rank takes 10 ms. */
import { nsPerMs } from '@astrolabe/base';
import { type Cluster, parseModel, resolveCluster } from '@astrolabe/config';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { exampleModel, FixedMachine } from '../machine.test-helper.js';
import { requestResults } from '../metrics.js';
import type { HostTerms } from '../run-inputs.js';
import { runServing } from '../serving-run.js';

const ms = (value: number): number => value * nsPerMs;

function moeCluster(instance: object = {}): Cluster {
  const entry = {
    model_name: 'moe',
    hardware: 'X',
    npu_mem: { mem_size: 1, mem_bw: 1000 },
    kv_blocks: 1000,
    dp_group: 'A',
    ep_size: 2,
    async_scheduling: false,
    ...instance,
  };
  const file = {
    link_bw: 16,
    link_latency: 0,
    nodes: [{ cpu_mem: { mem_size: 1, mem_bw: 100 }, instances: [entry, entry] }],
  };
  const shape = {
    ...exampleModel,
    model_type: 'mixtral',
    num_local_experts: 4,
    num_experts_per_tok: 2,
  };
  return resolveCluster(file, 'example', { findModel: (name) => parseModel(name, shape, 'test') });
}

async function run(
  requests: readonly Request[],
  instance: object = {},
  host: Pick<HostTerms, 'steps'> = {},
) {
  const machine = new FixedMachine({ stepNs: ms(10) });
  const result = await runServing({
    cluster: moeCluster(instance),
    requests,
    backend: machine,
    routing: 'round-robin',
    seed: 1,
    hostTerms: { frontEndDelayNs: 0, warmUpNs: 0, ...host },
    intervalNs: 1e9,
  });
  return { rows: requestResults(result), machine };
}

/** Host terms of which all are zero. */
const freeHost = {
  schedule_ns: 0,
  schedule_per_request_ns: 0,
  prepare_ns: 0,
  prepare_per_request_ns: 0,
  launch_full_graph_ns: 0,
  launch_graph_kernel_ns: 0,
  launch_piece_ns: 0,
  launch_attention_ns: 0,
  launch_kernel_ns: 0,
  ipc_ns: 0,
  dp_sync_ns: 0,
};

const request = (id: number, arrivalMs: number, promptTokens: number, outputTokens: number) => ({
  id,
  arrivalNs: ms(arrivalMs),
  promptTokens,
  outputTokens,
});

/** wave, instance, requests, tokens of all ranks, release (ms). */
function waves(machine: FixedMachine): string[] {
  return machine.submitted.map(
    ({ wave, instance, requests, waveTokens, releaseNs }) =>
      `${wave}.${instance} [${requests}] ${waveTokens} @${releaseNs / nsPerMs}`,
  );
}

describe('WaveGroup', () => {
  it('an idle rank runs a dummy token beside every step of the other', async () => {
    const { machine } = await run([request(0, 3, 7, 2)]);
    expect(waves(machine)).toEqual([
      '0.0 [0] 7,1 @3',
      '0.1 [] 7,1 @3',
      '1.0 [0] 1,1 @13',
      '1.1 [] 1,1 @13',
    ]);
    expect(machine.submitted.map(({ paddedTokens }) => paddedTokens)).toEqual([7, 7, 1, 1]);
  });

  it('an idle rank looks for work when a dummy was launched: the next is a dummy, too', async () => {
    // Rank 1 looked at 0, when wave 0 began, and found nothing: wave 1 is a dummy. It looks again at
    // 10, when that is launched, and has the request that came at 4.
    const { machine, rows } = await run([request(0, 0, 7, 3), request(1, 4, 5, 1)]);
    expect(waves(machine)).toEqual([
      '0.0 [0] 7,1 @0',
      '0.1 [] 7,1 @0',
      '1.0 [0] 1,1 @10',
      '1.1 [] 1,1 @10',
      '2.0 [0] 1,5 @20',
      '2.1 [1] 1,5 @20',
    ]);
    expect(rows.map((row) => row.finishNs)).toEqual([ms(30), ms(30)]);
  });

  it('asynchronous: dummies are launched a step ahead, so its own batch is a step further away', async () => {
    const { machine, rows } = await run([request(0, 0, 7, 4), request(1, 4, 5, 2)], {
      async_scheduling: true,
    });
    expect(waves(machine)).toEqual([
      '0.0 [0] 7,1 @0',
      '0.1 [] 7,1 @0',
      // Composed and launched at 0, while wave 0 runs: rank 1 has nothing else to do.
      '1.0 [0] 1,1 @0',
      '1.1 [] 1,1 @0',
      // Rank 1 has decided on this dummy at 0; launched at 10, it finds the request that came at 4.
      '2.0 [0] 1,1 @10',
      '2.1 [] 1,1 @10',
      '3.0 [0] 1,5 @20',
      '3.1 [1] 1,5 @20',
      // Rank 0 waits for its last token until 40 and then runs a dummy.
      '4.0 [] 1,1 @40',
      '4.1 [1] 1,1 @40',
    ]);
    expect(rows.map((row) => row.firstTokenNs)).toEqual([ms(10), ms(40)]);
    expect(rows.map((row) => row.finishNs)).toEqual([ms(40), ms(50)]);
  });

  it('a request that comes during the last step of its rank meets a dummy first', async () => {
    // Rank 0 found nothing for wave 1 at 0: the only token of request 0 was on its way.
    const { machine, rows } = await run(
      [request(0, 0, 7, 1), request(1, 0, 5, 1), request(2, 4, 6, 1), request(3, 300, 5, 1)],
      { async_scheduling: true },
    );
    expect(waves(machine).slice(0, 6)).toEqual([
      '0.0 [0] 7,5 @0',
      '0.1 [1] 7,5 @0',
      '1.0 [] 1,1 @10',
      '1.1 [] 1,1 @10',
      '2.0 [2] 6,1 @10',
      '2.1 [] 6,1 @10',
    ]);
    expect(rows[2].firstTokenNs).toBe(ms(30));
    // Long after the last step a rank starts with its request.
    expect(rows[3].firstTokenNs).toBe(ms(310));
  });

  it('ranks with chunks of unlike size pad to the largest', async () => {
    const { machine } = await run([request(0, 0, 20, 2), request(1, 0, 5, 2)], {
      max_num_batched_tokens: 8,
    });
    expect(waves(machine).filter((_, i) => i % 2 === 0)).toEqual([
      '0.0 [0] 8,5 @0',
      '1.0 [0] 8,1 @10',
      '2.0 [0] 4,1 @20',
      '3.0 [0] 1,1 @30',
    ]);
    expect(machine.submitted.map(({ paddedTokens }) => paddedTokens)).toEqual([
      8, 8, 8, 8, 4, 4, 1, 1,
    ]);
  });

  it('starts when the slowest host has composed its batch', async () => {
    // Rank 0 prepares one request, rank 1 a dummy; then they agree on the size.
    const steps = { X: { ...freeHost, dp_sync_ns: 700, prepare_per_request_ns: 5000 } };
    const { machine } = await run([request(0, 3, 7, 1)], {}, { steps });
    expect(machine.submitted.map(({ releaseNs }) => releaseNs)).toEqual([3_005_700, 3_005_700]);
  });

  it('asynchronous: host work hides behind the step before, beside an idle rank, too', async () => {
    const steps = { X: { ...freeHost, dp_sync_ns: 700, prepare_ns: 5000, schedule_ns: 4000 } };
    const { rows } = await run([request(0, 0, 7, 11)], { async_scheduling: true }, { steps });
    expect(rows[0].tpotNs).toBe(ms(10));
  });

  it('pipelines: dummies fill every stage', async () => {
    const { machine, rows } = await run([request(0, 0, 7, 2), request(2, 0, 7, 2)], { pp_size: 2 });
    const perRank = [0, 1].map((rank) => machine.submitted.filter((it) => it.instance === rank));
    expect(perRank[0].map((it) => it.wave)).toEqual(perRank[1].map((it) => it.wave));
    expect(rows.every((row) => row.status === 'finished')).toBe(true);
  });

  it('dense ranks are independent', async () => {
    const machine = new FixedMachine({ stepNs: ms(10) });
    const cluster = moeCluster({ ep_size: 1 });
    await runServing({
      cluster,
      requests: [request(0, 0, 7, 2)],
      backend: machine,
      routing: 'round-robin',
      seed: 1,
      hostTerms: { frontEndDelayNs: 0, warmUpNs: 0 },
      intervalNs: 1e9,
    });
    expect(machine.submitted.every((it) => it.instance === 0 && it.wave === undefined)).toBe(true);
  });
});
