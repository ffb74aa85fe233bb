/** Goal: what load generators leave behind gives the requests they sent, by hand; units are the traps. */
import { describe, expect, it } from 'vitest';
import { lines, plain, readText } from './read-text.test-helper.js';

describe('results of load generators', () => {
  it('vLLM bench: seconds of perf_counter, failures left out, in one or many lines', async () => {
    const result = {
      duration: 3,
      input_lens: [5, 6, 7],
      output_lens: [1, 0, 3],
      start_times: [100.5, 100.2, 100.25],
    };
    const expected = [
      [0, 50e6, 7, 3],
      [1, 300e6, 5, 1],
    ];
    expect(plain(await readText(JSON.stringify(result)))).toEqual(expected);
    expect(plain(await readText(JSON.stringify(result, null, 2)))).toEqual(expected);
    const cut = JSON.stringify(result, null, 2).slice(0, -3);
    await expect(readText(cut)).rejects.toThrow('x:1: not a complete JSON object');
  });

  it('AIPerf: epoch ns exactly, in order of start, warm-up and errors left out', async () => {
    const row = (ns: string, more = '', outputTokens = 2): string =>
      `{"metadata": {"request_start_ns": ${ns}, "benchmark_phase": "profiling"${more}}, "metrics": ` +
      '{"input_sequence_length": {"value": 8, "unit": "tokens"}, ' +
      `"output_sequence_length": {"value": ${outputTokens}, "unit": "tokens"}}, "error": null}`;
    const text = [
      row('1750000000000000004', '', 3),
      row('1750000000000000001'),
      row('1750000000000000002', ', "was_cancelled": true'),
      row('1750000000000000000', '', 0),
    ].join('\n');
    expect(plain(await readText(text))).toEqual([
      [0, 0, 8, 2],
      [1, 3, 8, 3],
    ]);
    await expect(readText(text.replaceAll('"tokens"', '"kilo"'))).rejects.toThrow(
      'expected the unit',
    );
  });

  it('a measured run: epoch seconds of arrival only', async () => {
    const row = { input_toks: 4, output_toks: 2, queued_ts: 1, request_id: 'bench-0' };
    const requests = await readText(
      lines(
        { ...row, arrival_time: 1787267980.0 },
        { ...row, request_id: 'bench-1', arrival_time: 1787267980.25 },
      ),
    );
    expect(plain(requests)).toEqual([
      ['bench-0', 0, 4, 2],
      ['bench-1', 250e6, 4, 2],
    ]);
  });

  it('APEX: ns', async () => {
    const row = { StartTimeOffset: 12, ContextTokens: 3, GeneratedTokens: 4 };
    expect(plain(await readText(lines(row)))).toEqual([[0, 12, 3, 4]]);
  });
});
