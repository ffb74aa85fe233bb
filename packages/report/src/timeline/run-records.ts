/** What a timeline is drawn from: a run's own files, condensed. Times in ns of simulated time. */

export interface RequestSpan {
  readonly id: string;
  readonly instance: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly arrivalNs: number;
  readonly scheduledNs: number;
  readonly firstTokenNs: number;
  readonly finishNs: number;
  readonly preemptions: number;
  readonly prefixHitTokens: number;
}

/** One engine step on one NPU. */
interface NpuSpan {
  readonly npu: number;
  readonly startNs: number;
  readonly finishNs: number;
  readonly computeNs: number;
  readonly exposedCommNs: number;
  readonly exposedMemoryNs: number;
}

export interface StepSpan {
  readonly instance: number;
  readonly iteration: number;
  /** 0 is the engine's steps; others move KV. */
  readonly lane: number;
  readonly startNs: number;
  readonly finishNs: number;
  readonly npus: readonly NpuSpan[];
  readonly commBytes: number;
  readonly memoryBytes: number;
  readonly prefillTokens: number;
  readonly prefillRequests: number;
  readonly decodeRequests: number;
  readonly contextTokens: number;
  /** Indices of its requests, in workload order. */
  readonly requests: readonly number[];
}

/** A value per interval of the run, drawn as a counter. */
export interface CounterSeries {
  readonly name: string;
  readonly unit: string;
  /** Interval i starts at i times this. */
  readonly intervalNs: number;
  readonly values: readonly number[];
}

export interface RunRecords {
  readonly source: string;
  /** In workload order; unfinished requests are undefined. */
  readonly requests: readonly (RequestSpan | undefined)[];
  /** In order of finishing. */
  readonly steps: readonly StepSpan[];
  readonly counters: readonly CounterSeries[];
}
