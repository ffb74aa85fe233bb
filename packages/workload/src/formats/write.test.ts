// Goal: what a writer writes, the reader of that format reads back as the same requests.
import { describe, expect, it } from 'vitest';
import type { Request } from '../request.js';
import { llmServingSimFormat } from './llmservingsim.js';
import { workloadWriters } from './write.js';

const tree: Request[] = [
  { id: 'a', arrivalNs: 1, promptTokens: 2, outputTokens: 2 },
  { id: 'b', arrivalNs: 2, promptTokens: 3, outputTokens: 1, prefix: { of: 'a', tokens: 3 } },
];

const chain: Request[] = [
  { id: 0, arrivalNs: 1, promptTokens: 2, outputTokens: 2, session: 's' },
  {
    id: 1,
    arrivalNs: 1,
    promptTokens: 3,
    outputTokens: 1,
    session: 's',
    after: [0],
    thinkNs: 9,
  },
  {
    id: 2,
    arrivalNs: 4,
    promptTokens: 1,
    outputTokens: 1,
    promptTokenIds: [7],
    outputTokenIds: [8],
  },
];

describe('workloadWriters', () => {
  it('write the compact CSV with renumbered parents', () => {
    expect([...workloadWriters.compact(tree, { tokenIds: false })]).toEqual([
      'request,arrival_ns,input_toks,output_toks,prefix_parent,prefix_len',
      '0,1,2,2,-1,0',
      '1,2,3,1,0,3',
    ]);
    expect(() => [...workloadWriters.compact(chain, { tokenIds: false })]).toThrow('no place');
  });

  it('write LLMServingSim sessions that read back the same', () => {
    const lines = [...workloadWriters.llmservingsim(chain, { tokenIds: false })];
    expect(lines.length).toBe(2);
    const reader = llmServingSimFormat.open({});
    const drafts = lines.flatMap((line) => reader.read(JSON.parse(line), 'x'));
    expect(drafts.map((draft) => draft.request)).toEqual(chain);
  });

  it('refuse dependencies that are no chain', () => {
    const dag = [{ ...chain[0] }, { ...chain[1], after: [] }, { ...chain[1], id: 5, after: [0] }];
    expect(() => [...workloadWriters.llmservingsim(dag, { tokenIds: false })]).toThrow(
      'not a chain',
    );
  });

  it('write token ids made from the tree, shared where the tree shares', () => {
    const [a, b] = [...workloadWriters.llmservingsim(tree, { tokenIds: true })].map((line) =>
      JSON.parse(line),
    );
    expect(b.input_tok_ids.slice(0, 3)).toEqual([...a.input_tok_ids, a.output_tok_ids[0]]);
    expect(b.output_tok_ids[0]).not.toBe(a.output_tok_ids[1]);
    const [ours] = [...workloadWriters.astrolabe(tree, { tokenIds: true })].map((line) =>
      JSON.parse(line),
    );
    expect(ours.promptTokenIds).toEqual(a.input_tok_ids);
  });
});
