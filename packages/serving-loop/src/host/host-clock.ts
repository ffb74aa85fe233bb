/**
 * The host beside the device: scheduling, input preparation and launching take time of the engine's
 * thread (and of the workers' when there are several processes), which is only seen where the device
 * does not hide it (constants: docs/engine.md):
 *
 *   release = end of scheduling + preparation, after the launch of the step before
 *   visible = the later of the device's end and the end of its launch, + output handling
 *
 * One process: the launch is on the engine's thread. Several: engine and workers work side by side.
 */
import type { HostStep, Instance } from '@astrolabe/config';
import { captureSizes } from '@astrolabe/trace-generator';
import type { Batch } from '../scheduler/batch.js';

/** Kernels that vLLM compiles of a dense decoder block, and of what comes before and after all blocks. */
const kernelsPerLayer = 11;
const kernelsOutside = 5;

export interface HostClock {
  /** The step is composed at this time; returns when the device may start it. */
  compose(batch: Batch, nowNs: number): number;
  /** The device has finished the oldest step at this time; returns when its tokens are known. */
  finish(batch: Batch, deviceEndNs: number): number;
}

/** Host work that takes no time. */
const noHost: HostClock = {
  compose: (_batch, nowNs) => nowNs,
  finish: (_batch, deviceEndNs) => deviceEndNs,
};

export function createHostClock(instance: Instance, terms: HostStep | undefined): HostClock {
  return terms === undefined ? noHost : new Host(instance, terms);
}

class Host implements HostClock {
  private readonly terms: HostStep;
  private readonly layers: number;
  private readonly largestGraph: number;
  /** Every step is one compiled program, whatever it holds. */
  private readonly compiled: boolean;
  private readonly oneProcess: boolean;
  private engineFreeNs = 0;
  private workerFreeNs = 0;
  /** Ends of the launches of steps on their way, oldest first. */
  private readonly launchEnds: number[] = [];

  constructor(instance: Instance, terms: HostStep) {
    const { engine, model, npus } = instance;
    this.terms = terms;
    this.layers = model.numLayers;
    this.oneProcess = npus.length === 1;
    const { batchPadding, maxNumSeqs, maxNumBatchedTokens } = engine;
    const sizes =
      batchPadding === 'cuda-graphs' ? captureSizes(maxNumSeqs, maxNumBatchedTokens) : [];
    this.largestGraph = sizes[sizes.length - 1] ?? 0;
    this.compiled = batchPadding === 'buckets';
  }

  compose(batch: Batch, nowNs: number): number {
    const { terms } = this;
    const count = batch.requests.length;
    const scheduleNs = terms.schedule_ns / 2 + terms.schedule_per_request_ns * (count / 2);
    const prepareNs = terms.prepare_ns + terms.prepare_per_request_ns * count;
    const scheduled = Math.max(nowNs, this.engineFreeNs) + scheduleNs;
    const start = this.oneProcess
      ? scheduled
      : Math.max(scheduled + terms.ipc_ns, this.workerFreeNs);
    const release = Math.round(start + prepareNs);
    const launched = release + this.launchNs(batch);
    this.launchEnds.push(launched);
    this.workerFreeNs = launched;
    this.engineFreeNs = this.oneProcess ? launched : scheduled;
    return release;
  }

  finish(batch: Batch, deviceEndNs: number): number {
    const { terms } = this;
    const launched = this.launchEnds.shift() ?? 0;
    const ended = Math.max(deviceEndNs, launched) + (this.oneProcess ? 0 : terms.ipc_ns);
    const perRequest = terms.schedule_per_request_ns / 2;
    const updateNs = terms.schedule_ns / 2 + perRequest * batch.requests.length;
    const visible = Math.round(Math.max(ended, this.engineFreeNs) + updateNs);
    this.engineFreeNs = visible;
    return visible;
  }

  /**
   * Decodes alone replay one graph; small mixed batches run piecewise; large ones have no graph. A
   * compiled program is launched as a whole, like one graph.
   */
  private launchNs(batch: Batch): number {
    const { terms, layers } = this;
    let tokens = 0;
    let decodes = 0;
    for (let i = 0; i < batch.newTokens.length; i++) {
      tokens += batch.newTokens[i];
      if (batch.newTokens[i] === 1 && batch.contextTokens[i] > 0) decodes++;
    }
    const kernels = layers * kernelsPerLayer + kernelsOutside;
    if (this.compiled || (decodes === batch.requests.length && tokens <= this.largestGraph)) {
      return terms.launch_full_graph_ns + kernels * terms.launch_graph_kernel_ns;
    }
    if (tokens > this.largestGraph) return kernels * terms.launch_kernel_ns;
    return (layers + 1) * terms.launch_piece_ns + layers * terms.launch_attention_ns;
  }
}
