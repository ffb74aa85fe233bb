/**
 * A run as a comparison sees it, measured or simulated: one row per request on one clock, and what is
 * known beside. Times are ns from any common zero; tokens are counts.
 */
export interface RequestRow {
  readonly id: string;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly arrivalNs: number;
  /** Entered the engine's queue; undefined where the run does not say. */
  readonly queuedNs?: number | undefined;
  /** First scheduled; undefined where the run does not say. */
  readonly scheduledNs: number | undefined;
  readonly firstTokenNs: number;
  readonly lastTokenNs: number;
}

/** Tokens per interval; interval i covers [i, i + 1) x `intervalNs` from the start of the run. */
export interface Series {
  readonly intervalNs: number;
  readonly promptTokens: readonly number[];
  readonly outputTokens: readonly number[];
}

export interface RunData {
  /** Where it came from, for messages. */
  readonly source: string;
  /** Finished requests. */
  readonly rows: readonly RequestRow[];
  /** All requests, also those that did not finish. */
  readonly totalRequests: number;
  readonly series?: Series | undefined;
  readonly kvBlocks?: number | undefined;
  /** It was simulated, though it stands in a measured run's place; absent: measured, or not in it. */
  readonly simulated?: boolean;
  /** What a reader must know: clocks, requests left out. */
  readonly notes: readonly string[];
}

/** `bench-17` and `17` name the same request: the number an id ends with, else the id. */
export function requestKey(id: string): string {
  return /(\d+)$/.exec(id)?.[1] ?? id;
}
