/**
 * Which NPU sends which KV to which when one instance hands over to another. Degrees may differ on
 * both sides: every decode rank fetches the heads it holds, of the layers of its stage, from ranks
 * that hold them. When TP exceeds the KV heads ranks hold copies, and decode ranks spread over them.
 */
import {
  dtypeBytes,
  type Instance,
  kvElementsPerTokenPerLayer,
  pipelineLayers,
} from '@astrolabe/config';

/** From one NPU to another: so many heads of each of these layers, ascending. */
export interface KvLink {
  readonly src: number;
  readonly dst: number;
  readonly heads: number;
  readonly layers: readonly number[];
}

/** Bytes of K and V (or the latent) of one head of one layer of one token. */
export function kvHeadBytes({ model, engine }: Instance): number {
  return (kvElementsPerTokenPerLayer(model) / model.numKvHeads) * dtypeBytes[engine.kvCacheDtype];
}

/** Tags of KV messages lie above those of pipeline stages: two per transfer, request and KV. */
export function kvTag(transfer: number): number {
  return 16 + 2 * (transfer % 2 ** 29);
}

/** Ordered by destination rank, then source rank, then layer. */
export function planKvLinks(source: Instance, target: Instance): KvLink[] {
  const { numLayers, numKvHeads } = source.model;
  const [sourceStage, targetStage] = [stagesOf(source), stagesOf(target)];
  const links = new Map<string, { src: number; dst: number; heads: number; layers: number[] }>();
  for (let rank = 0; rank < target.tp; rank++) {
    for (const [sourceRank, heads] of sourcesOf(source.tp, target.tp, rank, numKvHeads)) {
      for (let layer = 0; layer < numLayers; layer++) {
        const src = source.npus[sourceStage[layer] * source.tp + sourceRank];
        const dst = target.npus[targetStage[layer] * target.tp + rank];
        const key = `${src} ${dst}`;
        const link = links.get(key) ?? { src, dst, heads, layers: [] };
        link.layers.push(layer);
        links.set(key, link);
      }
    }
  }
  return [...links.values()];
}

/** Source ranks of one target rank, with the number of heads each gives. */
function sourcesOf(
  sourceTp: number,
  targetTp: number,
  rank: number,
  heads: number,
): Map<number, number> {
  const sources = new Map<number, number>();
  for (const head of headsOf(heads, targetTp, rank)) {
    const holders: number[] = [];
    for (let r = 0; r < sourceTp; r++) {
      if (headsOf(heads, sourceTp, r).includes(head)) holders.push(r);
    }
    const chosen = holders[rank % holders.length];
    sources.set(chosen, (sources.get(chosen) ?? 0) + 1);
  }
  return sources;
}

/** KV heads of one rank: a range; one head when there are more ranks than heads. */
function headsOf(heads: number, tp: number, rank: number): number[] {
  const first = Math.floor((rank * heads) / tp);
  const end = Math.max(first + 1, Math.floor(((rank + 1) * heads) / tp));
  return Array.from({ length: end - first }, (_, i) => first + i);
}

/** Stage of every layer. */
function stagesOf({ model, pp }: Instance): number[] {
  return pipelineLayers(model.numLayers, pp).flatMap((length, stage) =>
    new Array<number>(length).fill(stage),
  );
}
