/**
 * Links that exist, and how KV moves over them. `topology` replaces `link_bw` and `link_latency` for
 * message routes: two devices talk over the innermost thing they share: an NVLink or NVSwitch domain,
 * their node's PCIe, or NICs and the switch between nodes. Bandwidth is GB/s of 2^30 bytes per
 * direction, as for `link_bw`; latency ns.
 */
import { z } from 'zod';

const positive = z.number().int().positive();
const bandwidth = z.number().positive().describe('GB/s per direction');
const latency = z.number().nonnegative().default(0).describe('ns');

export const topologySchema = z.strictObject({
  nvlink: z
    .strictObject({
      domain_size: positive.describe('devices per NVLink or NVSwitch domain, in NPU order'),
      bw: bandwidth,
      latency,
      spans_nodes: z
        .boolean()
        .default(false)
        .describe('domains are counted over the whole cluster (NVL72), not within each node'),
    })
    .optional()
    .describe('between devices that share NVLink or an NVSwitch'),
  pcie: z.strictObject({ bw: bandwidth, latency }).describe('between devices of one node'),
  nic: z
    .strictObject({
      per_node: positive.describe('network cards of a node; its devices share them in NPU order'),
      bw: bandwidth.describe('GB/s per direction of one card'),
      latency,
      rails: z
        .boolean()
        .default(false)
        .describe('card i of every node is on switch i of its own: no hop between rails'),
    })
    .optional()
    .describe('between nodes; required with two or more'),
  congestion: z
    .enum(['aware', 'unaware'])
    .default('aware')
    .describe('whether messages that share a link wait for each other'),
});

export type TopologyFile = z.infer<typeof topologySchema>;

/** Measured times in place of the links inside an instance. */
export const measuredLinksSchema = z.strictObject({
  file: z
    .string()
    .min(1)
    .describe(
      'size table as JSON, relative to this file; `profiler-ingest collectives` writes one',
    ),
  hardware: z
    .string()
    .optional()
    .describe('devices whose links these are; default: all. Of several that fit the first counts'),
});

export type MeasuredLinksFile = z.infer<typeof measuredLinksSchema>;

/** Prefill/decode disaggregation: how the KV of a prompt gets to the decode instance. */
export const kvTransferSchema = z.strictObject({
  initiate: z
    .enum(['pull', 'push'])
    .default('pull')
    .describe(
      'pull: decode reserves blocks after the prefill and fetches (NIXL); push: it reserves before, ' +
        'and prefill sends',
    ),
  granularity: z
    .enum(['whole', 'layer'])
    .default('whole')
    .describe('one message for all layers, or one a layer; a layer-wise push overlaps the prefill'),
  first_token: z
    .enum(['decode', 'prefill'])
    .default('decode')
    .describe(
      'who gives the first token: decode recomputes the last prompt token (vLLM), or prefill does ' +
        'and decode goes on from it (LLMServingSim)',
    ),
  handshake_ns: z
    .number()
    .int()
    .nonnegative()
    .default(0)
    .describe('delay of the first transfer between two instances'),
  release_after_s: z
    .number()
    .positive()
    .default(480)
    .describe(
      'pull: prefill frees the blocks of a prompt so long after it, fetched or not (vLLM: 480 s)',
    ),
});

export type KvTransferOptions = z.infer<typeof kvTransferSchema>;

/** vLLM with its NIXL connector. */
export const defaultKvTransfer: KvTransferOptions = {
  initiate: 'pull',
  granularity: 'whole',
  first_token: 'decode',
  handshake_ns: 0,
  release_after_s: 480,
};
