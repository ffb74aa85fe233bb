/**
 * Constants fitted on a real run, per device. The file names the run; every result computed with it
 * says so. Nothing here scales operators or models: only host and step residuals.
 */
import { z } from 'zod';

const ns = z.number().int().nonnegative();
const interval = z.tuple([ns, ns]).optional();

const hostNs = z.number().nonnegative();

/**
 * Host work of one engine step, which hides behind the previous step's device work as long as that is
 * longer. Defaults are what is known of vLLM's loop, not fitted (docs/engine.md).
 */
export const hostStepSchema = z.strictObject({
  schedule_ns: hostNs.default(200_000).describe('scheduler and output handling, per step'),
  schedule_per_request_ns: hostNs.default(8_000).describe('the same, per request'),
  prepare_ns: hostNs.default(500_000).describe('input preparation in the worker, per step'),
  prepare_per_request_ns: hostNs.default(2_000).describe('the same, per request'),
  launch_full_graph_ns: hostNs.default(100_000).describe('replay of a full CUDA graph'),
  launch_graph_kernel_ns: hostNs.default(300).describe('per kernel of a full graph'),
  launch_piece_ns: hostNs.default(25_000).describe('per piece of a piecewise graph'),
  launch_attention_ns: hostNs.default(30_000).describe('per eager attention between pieces'),
  launch_kernel_ns: hostNs.default(6_000).describe('per kernel without a graph'),
  ipc_ns: hostNs.default(100_000).describe('engine to workers and back, several processes'),
  dp_sync_ns: hostNs
    .default(200_000)
    .describe('data-parallel ranks agree on the size of a step, over the host network'),
});

/** Host work behind the engine: what a client waits for after a token is known. */
export const outputPathSchema = z.strictObject({
  delay_ns: hostNs.default(500_000).describe('engine to client'),
  detokenise_per_token_ns: hostNs
    .default(35_000)
    .describe('one after another in the API process, which saturates at their rate'),
});

export type HostStep = z.infer<typeof hostStepSchema>;
export type OutputPath = z.infer<typeof outputPathSchema>;

/**
 * What collectives get of the links inside a tensor-parallel group, where a cluster file gives the
 * data sheet's figure: small messages never reach it.
 */
export const linkCalibrationSchema = z.strictObject({
  nominal_gb_s: z
    .number()
    .positive()
    .describe(
      'the `link_bw` that it replaces in a cluster file; where `link_nominal` is true, any',
    ),
  bandwidth_gb_s: z.number().positive().describe('GB/s of 2^30 per direction, as `link_bw`'),
  latency_ns: ns.describe('ns per hop'),
});

export const deviceCalibrationSchema = z.strictObject({
  source: z.string().describe('the real run these were fitted on'),
  models: z
    .array(z.string())
    .optional()
    .describe('models of those runs; other models get wider intervals. Absent: not said'),
  tp_sizes: z
    .array(z.number().int().positive())
    .optional()
    .describe(
      'tensor-parallel degrees of those runs; others get wider intervals. Absent: not said',
    ),
  step_overhead_ns: ns.default(0).describe('serial device time of every step outside operators'),
  step_overhead_interval_ns: interval.describe('90 % interval of its fit'),
  step_overhead_per_sequence_ns: ns
    .optional()
    .describe('the same, of every request in the step. Absent: none'),
  step_overhead_per_sequence_interval_ns: interval.describe('90 % interval of its fit'),
  front_end_delay_ns: ns.default(0).describe('arrival to the engine, at idle'),
  front_end_delay_interval_ns: interval.describe('90 % interval of its fit'),
  decode_tail: z
    .boolean()
    .optional()
    .describe(
      'decodes wait for the longest contexts, as the profile measured. Absent: they do not, the ' +
        'step overhead contains it. Devices without an entry here do',
    ),
  warm_up_ns: ns.default(0).describe('extra time of the first step of an instance'),
  host_step: hostStepSchema.optional().describe('absent: host work takes no time'),
  output_path: outputPathSchema.optional().describe('absent: clients see tokens at once'),
  link: linkCalibrationSchema
    .optional()
    .describe('what collectives get of the links inside a tensor-parallel group'),
  power_meter_lag_ns: ns
    .optional()
    .describe('time constant of the power meter at the wall: its readings follow, energy does not'),
});

const percent = z.number().nonnegative();

/** Half-widths of 90 % intervals that fitting does not narrow, percent of the mean. */
const modelFormSchema = z.strictObject({
  source: z.string().describe('why these figures'),
  ttft: percent.describe('% of the mean TTFT'),
  tpot: percent.describe('% of the mean TPOT and ITL'),
  latency: percent.describe('% of the mean latency'),
  makespan: percent.describe('% of the makespan, and of throughput'),
  link: percent
    .default(0)
    .describe(
      'of the time of communication, and of waits for memory below devices, as a cluster file assumes them',
    ),
  other_models: z
    .number()
    .min(1)
    .default(1)
    .describe(
      'factor on the errors above, links apart, for models and TP degrees that nothing was fitted on',
    ),
});

export const calibrationSchema = z.strictObject({
  about: z.string().optional().describe('for people'),
  model_form_pct: modelFormSchema
    .optional()
    .describe('half-widths of 90 % intervals that fitting does not narrow'),
  devices: z.record(z.string(), deviceCalibrationSchema).describe('by hardware name'),
});

export type DeviceCalibration = z.infer<typeof deviceCalibrationSchema>;
export type Calibration = z.infer<typeof calibrationSchema>;

/** Nothing fitted. */
export const noCalibration: Calibration = { devices: {} };
