/**
 * When experts are rearranged, and by which loads (vLLM's EplbState): every `step_interval` steps, the
 * first time after a quarter of it, by the loads of the last `window_size` steps.
 *
 * Where a routing's expected loads are known, those of any window are in their proportion: the first
 * rearrangement places experts by them and later ones change nothing. Loads that are only seen (a
 * user's function) are summed over the window of each rearrangement to come.
 */
import type { ExpertBalancing } from '@astrolabe/config';
import {
  balancedPlacement,
  busiestMove,
  linearPlacement,
  type Placement,
} from './expert-placement.js';

interface BalancedExperts {
  readonly balancing: ExpertBalancing;
  readonly numExperts: number;
  readonly ranks: number;
  readonly numLayers: number;
  /** Expected loads of a layer's experts; undefined: they are told by `record`. */
  readonly expected: ((layer: number) => ArrayLike<number>) | undefined;
}

interface Layer {
  placement: Placement;
  /** Rearrangements that `placement` has seen. */
  rearranged: number;
  /** Experts that the busiest rank moved at the last of them. */
  moved: number;
  /** Loads seen in the window of rearrangements to come, by their number. */
  readonly windows: Map<number, Float64Array>;
}

export class ExpertBalancer {
  private readonly options: BalancedExperts;
  private readonly layers: Layer[];
  private readonly firstStep: number;

  constructor(options: BalancedExperts) {
    const { numExperts, balancing, numLayers } = options;
    this.options = options;
    this.firstStep = Math.max(1, Math.floor(balancing.step_interval / 4));
    const placement = linearPlacement(numExperts, balancing.num_redundant_experts);
    this.layers = Array.from({ length: numLayers }, () => ({
      placement,
      rearranged: 0,
      moved: 0,
      windows: new Map(),
    }));
  }

  /** Rearrangements before a step. */
  rearrangements(step: number): number {
    const since = step - this.firstStep;
    return since < 0 ? 0 : 1 + Math.floor(since / this.options.balancing.step_interval);
  }

  /** Of a layer in a step. Steps are asked for in their order. */
  placement(step: number, layer: number): Placement {
    return this.at(step, layer).placement;
  }

  /** Experts of a layer that the busiest rank moves before a step. */
  moved(step: number, layer: number): number {
    const number = this.rearrangements(step);
    if (number === 0 || number === this.rearrangements(step - 1)) return 0;
    return this.at(step, layer).moved;
  }

  /** What a layer's experts got in a step. */
  record(step: number, layer: number, counts: ArrayLike<number>): void {
    const { step_interval, window_size } = this.options.balancing;
    const { windows } = this.layers[layer];
    let number = this.rearrangements(step) + 1;
    for (;;) {
      const at = this.firstStep + (number - 1) * step_interval;
      if (step < at - window_size) return;
      const window = windows.get(number) ?? new Float64Array(counts.length);
      for (let expert = 0; expert < counts.length; expert++) window[expert] += counts[expert];
      windows.set(number, window);
      number++;
    }
  }

  /** The layer, rearranged if that is due. */
  private at(step: number, index: number): Layer {
    const layer = this.layers[index];
    const number = this.rearrangements(step);
    if (number <= layer.rearranged) return layer;
    const { expected, ranks } = this.options;
    const settled = expected !== undefined && layer.rearranged > 0;
    const loads = expected?.(index) ?? layer.windows.get(number);
    const before = layer.placement;
    if (!settled && loads !== undefined) layer.placement = this.balanced(loads);
    const moves = expected === undefined || number === 1;
    layer.moved = moves ? busiestMove(before, layer.placement, ranks) : 0;
    layer.rearranged = number;
    for (const old of layer.windows.keys()) if (old <= number) layer.windows.delete(old);
    return layer;
  }

  private balanced(loads: ArrayLike<number>): Placement {
    const { balancing, ranks } = this.options;
    return balancedPlacement(loads, balancing.num_redundant_experts, ranks);
  }
}
