/**
 * KV hand-off as graphs: sends on the prefill NPUs, receives on the decode NPUs, over the same links
 * as everything else. Bytes of one message: 2 (K and V) x heads x head_dim x dtype x tokens, times
 * the layers that both NPUs hold unless the transfer goes layer by layer.
 */
import { UserError } from '@astrolabe/base';
import { type GraphSet, type Program, StringTable } from '@astrolabe/chakra';
import type { Cluster, Instance } from '@astrolabe/config';
import { Chain, instantiate, type Template } from './chain.js';
import { type KvLink, kvHeadBytes, kvTag, planKvLinks } from './kv-links.js';
import { type Transfer, transferLane } from './kv-transfer.js';

/** Bytes of a request for KV, one per pair of NPUs. */
const pullRequestBytes = 256;

interface Plan {
  readonly placed: readonly { readonly npu: number; readonly template: Template }[];
  /** Heads times layers of each size of message; quantity `firstSize` + i. */
  readonly amounts: readonly number[];
  readonly headBytes: number;
}

/** Quantities: nothing, a pull request's bytes, its tag, the KV's tag, then sizes. */
const quantity = { pullBytes: 1, pullTag: 2, kvTag: 3, firstSize: 4 } as const;

interface Form {
  readonly layerwise: boolean;
  readonly pull: boolean;
  /** Sends are nodes of the prefill step: receives only, layer by layer. */
  readonly inStep: boolean;
  readonly strings: StringTable;
}

/** @returns the graph set of a transfer. @throws UserError unlike or unknown instances */
export function createTransferGenerator(cluster: Cluster): (transfer: Transfer) => GraphSet {
  const plans = new Map<string, Plan>();
  const strings = new StringTable();
  return (transfer) => {
    const { from, to, pull = false, inStep = false } = transfer;
    const layerwise = inStep || (transfer.layerwise ?? false);
    const key = `${from} ${to} ${layerwise} ${pull} ${inStep}`;
    let plan = plans.get(key);
    if (plan === undefined) {
      const [source, target] = kvPair(cluster, from, to);
      plan = planTransfer(source, target, { layerwise, pull, inStep, strings });
      plans.set(key, plan);
    }
    return instantiateTransfer(transfer, plan);
  };
}

/** Both instances, checked. @throws UserError when KV of one is of no use to the other */
export function kvPair(cluster: Cluster, from: number, to: number): [Instance, Instance] {
  const { instances } = cluster;
  const [source, target] = [instances[from], instances[to]];
  if (source === undefined || target === undefined) {
    const index = source === undefined ? from : to;
    throw new UserError(`instance ${index} is unknown: the cluster has ${instances.length}`);
  }
  if (from === to) throw new UserError(`instance ${from} cannot hand KV over to itself`);
  const [a, b] = [source.engine.kvCacheDtype, target.engine.kvCacheDtype];
  if (source.model.name !== target.model.name || a !== b) {
    throw new UserError(
      `KV of "${source.name}" (${source.model.name}, ${a}) does not fit ` +
        `"${target.name}" (${target.model.name}, ${b})`,
    );
  }
  return [source, target];
}

/** Links of one NPU run side by side, the messages of a link one after another. */
function planTransfer(source: Instance, target: Instance, form: Form): Plan {
  const links = planKvLinks(source, target);
  const amountOf = ({ heads, layers }: KvLink): number =>
    heads * (form.layerwise ? 1 : layers.length);
  const amounts = [...new Set(links.map(amountOf))];
  const ends = links.flatMap(({ src, dst }) => (form.inStep ? [dst] : [src, dst]));
  const npus = [...new Set(ends)].sort((a, b) => a - b);
  const placed = npus.map((npu) => {
    const chain = new Chain(form.strings);
    for (const link of links) {
      const size = quantity.firstSize + amounts.indexOf(amountOf(link));
      if (link.src !== npu && link.dst !== npu) continue;
      chain.last = -1;
      lowerLink(chain, link, link.src === npu, form, size);
    }
    return { npu, template: chain.seal() };
  });
  return { placed, amounts, headBytes: kvHeadBytes(source) };
}

function lowerLink(chain: Chain, link: KvLink, sends: boolean, form: Form, size: number): void {
  const { src, dst, layers } = link;
  const { pullBytes, pullTag } = quantity;
  if (form.pull && !form.inStep) {
    if (sends) chain.receive('kv.pull.receive', dst, src, 0, pullBytes, pullTag);
    else chain.send('kv.pull.send', dst, src, 0, pullBytes, pullTag);
  }
  for (const name of form.layerwise ? layers.map((layer) => `layer${layer}.kv`) : ['kv']) {
    if (sends) chain.send(`${name}.send`, src, dst, 0, size, quantity.kvTag);
    else chain.receive(`${name}.receive`, src, dst, 0, size, quantity.kvTag);
  }
}

function instantiateTransfer(transfer: Transfer, plan: Plan): GraphSet {
  const sizes = plan.amounts.map((amount) => amount * plan.headBytes * transfer.tokens);
  const tag = kvTag(transfer.transfer);
  const values = Float64Array.from([0, pullRequestBytes, tag + 1, tag, ...sizes]);
  return {
    instance: transfer.to,
    iteration: transfer.transfer,
    releaseNs: transfer.releaseNs,
    lane: transferLane,
    programs: plan.placed.map(
      ({ npu, template }): Program => ({ npus: [npu], graph: instantiate(template, values) }),
    ),
    groups: {},
  };
}
