/** Goal: CSV traces give the requests their documentation means, by hand; units are the traps. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { clock, plain, readText } from './read-text.test-helper.js';
import { readWorkload } from './read-workload.js';

describe('tables', () => {
  it('Vidur replay: seconds', async () => {
    const text =
      'arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.314579,396.0,109\n';
    expect(plain(await readText(text))).toEqual([
      [0, 0, 374, 44],
      [1, 4314579000, 396, 109],
    ]);
  });

  it('Vidur lengths: arrivals must be given', async () => {
    const text = 'num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n5,2,7,2.5\n';
    await expect(readText(text)).rejects.toThrow('x:2: this format has no arrival times');
    expect(plain(await readText(text, { nextArrivalNs: clock() }))).toEqual([[0, 0, 5, 2]]);
  });

  it('Azure: 100 ns time stamps across midnight, from the first row', async () => {
    const text =
      'TIMESTAMP,ContextTokens,GeneratedTokens\n' +
      '2023-11-16 23:59:59.9799601,374,44\n2023-11-17 00:00:00.0000003,396,109\n';
    expect(plain(await readText(text))).toEqual([
      [0, 0, 374, 44],
      [1, 20040200, 396, 109],
    ]);
    const later = text.replace('00:00:00.0000003', '00:00:00.000000300+00:00');
    expect((await readText(later))[1].arrivalNs).toBe(20040200);
    for (const wrong of ['', '2023-11-31 ', '2023-13-01 ']) {
      await expect(readText(text.replace('2023-11-17 ', wrong))).rejects.toThrow(
        'x:3: not a UTC time stamp',
      );
    }
    await expect(readText(text.replace(' 00:00:00', ' 24:00:00'))).rejects.toThrow(
      'x:3: not a UTC time stamp',
    );
  });

  it('BurstGPT: failed requests are left out and counted', async () => {
    const text =
      'Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n' +
      '5,,1,ChatGPT,472,18,490,Conversation log\n' +
      '45.5,,0,ChatGPT,1087,0,1087,Conversation log\n118,,2,GPT-4,417,276,693,API log\n';
    const notes: string[] = [];
    let ignored: readonly string[] = [];
    const requests = await readText(text, {
      onNote: (note) => notes.push(note),
      onFormat: (_format, keys) => {
        ignored = keys;
      },
    });
    expect(plain(requests)).toEqual([
      [0, 5e9, 472, 18],
      [1, 118e9, 417, 276],
    ]);
    expect(notes).toEqual(['left out 1 rows: no output tokens (failed requests)']);
    expect(ignored).toContain('Model');
  });

  it('splitwise-sim: seconds', async () => {
    const text =
      'request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n' +
      '0,2,0,0.25,1,100,9\n';
    expect(plain(await readText(text))).toEqual([[0, 250e6, 100, 9]]);
  });

  it('BLIS: YAML header, us from the first row, prefix groups', async () => {
    const text =
      '---\nversion: 2\nserver:\n  model: x\n' +
      'request_id,session_id,slo_class,prefix_group,prefix_length,input_tokens,output_tokens,arrival_time_us\n' +
      '7,,gold,g,30,40,5,1000000\n8,s,gold,g,30,50,6,1000000.5\n';
    expect(await readText(text)).toEqual([
      { id: 0, arrivalNs: 0, promptTokens: 40, outputTokens: 5, sloClass: 'gold' },
      {
        id: 1,
        arrivalNs: 500,
        promptTokens: 50,
        outputTokens: 6,
        session: 's',
        sloClass: 'gold',
        prefix: { of: 0, tokens: 30 },
      },
    ]);
    await expect(readText(text.replace('1000000.5', 'x'))).rejects.toThrow('x:7: arrival_time_us');
  });
});

const vidur = new URL('../../../../../shared/refdata/vidur/processed_traces', import.meta.url)
  .pathname;

describe.skipIf(!existsSync(vidur))('Vidur traces (needs ../shared)', () => {
  it('reads all rows of the conversation trace', async () => {
    const requests = await readWorkload(join(vidur, 'splitwise_conv.csv.gz'));
    expect(requests.length).toBe(19366);
  });
});
