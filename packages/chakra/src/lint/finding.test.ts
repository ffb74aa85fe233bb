/** Goal: a finding says what is wrong and where, in one line. Method: as in planted.test.ts. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../graph-builder.js';
import { NodeType } from '../node-type.js';
import { formatFinding } from './finding.js';
import { lint } from './lint.js';
import { also, draft, groups, named, type Plant, run } from './run.test-helper.js';

describe('what a finding says', () => {
  const only = (plant: Plant): string[] => lint(run(plant), { groups }).findings.map(formatFinding);

  test('a mismatch names its nearest relative', () => {
    expect(
      only((nodes) => also(nodes, 'send', (b, n) => b.setPointToPoint(n, 1, 2, 7, 65))),
    ).toMatchInlineSnapshot(`
        [
          "t.1.et: node 4 (id 14 "send"): error: tag 7, 1 -> 2, 65 bytes: the receive has 64 bytes [unmatched-send]",
          "t.2.et: node 5 (id 15 "receive"): error: tag 7, 1 -> 2, 64 bytes: the send has 65 bytes [unmatched-receive]",
        ]
      `);
  });

  test('a cycle names its ids, a deadlock the NPUs', () => {
    expect(only((nodes) => named(nodes, 'gemm').parents.push('store'))[0]).toMatch(
      /5 nodes wait for each other: ids 11 -> 12 -> 13 -> 14 -> 16 -> 11 \[cycle\]$/,
    );
    const deadlock = only((_, all) => {
      for (const nodes of all) named(nodes, 'send').parents = ['receive'];
    });
    expect(deadlock).toHaveLength(1);
    expect(deadlock[0]).toContain('NPU 0 in "receive" (id 15), NPU 1 in "receive" (id 15)');
  });

  test('a deadlock names what waits for another NPU, not what only waits behind it', () => {
    const [here, there] = [new GraphBuilder(), new GraphBuilder()];
    const add = (builder: GraphBuilder, name: string, src: number, tag: number): number => {
      const isSend = (builder === here ? 0 : 1) === src;
      const node = builder.addNode(isSend ? NodeType.commSend : NodeType.commRecv, name);
      builder.setPointToPoint(node, src, 1 - src, tag, 8);
      return node;
    };
    // What is behind the receive comes before it in the file, and its message is there.
    const behind = add(here, 'behind', 1, 1);
    const first = add(here, 'first', 1, 2);
    here.addDep(behind, first);
    here.addDep(add(here, 'answer', 0, 3), first);
    add(there, 'early', 1, 1);
    const wait = add(there, 'wait', 0, 3);
    there.addDep(add(there, 'late', 1, 2), wait);
    const inputs = [here, there].map((builder, npu) => ({
      graph: builder.finish(),
      npu,
      at: `t.${npu}.et`,
    }));
    expect(lint(inputs).findings.map(formatFinding)).toEqual([
      't.0.et: node 1 (id 1 "first"): error: NPUs wait for each other: ' +
        'NPU 0 in "first" (id 1), NPU 1 in "wait" (id 1) [deadlock]',
    ]);
  });

  test('rounded durations are one finding a graph, with their number', () => {
    const findings = lint(
      run((nodes) => {
        for (const node of nodes.filter(({ type }) => type === NodeType.comp)) {
          also(nodes, node.name, (b, n) => b.setDuration(n, 1500));
        }
        for (let i = 0; i < 10; i++) {
          const extra = draft(`z${i}`, NodeType.comp, [], (b, n) => b.setDuration(n, 1500));
          nodes.push({ ...extra, id: 50 + i });
        }
      }),
      { groups, target: 'astra-sim' },
    ).findings.filter(({ rule }) => rule === 'rounded-duration');
    expect(findings.map(formatFinding)).toEqual([
      expect.stringMatching(
        /^t\.1\.et: .* 1500 ns is rounded to whole microseconds, as are those of \d+ other nodes/,
      ),
    ]);
  });

  test('many findings of a rule are cut, and counted', () => {
    const report = lint(
      run((_, all) => {
        for (const nodes of all) {
          for (let i = 0; i < 10; i++)
            nodes.push({ ...draft(`z${i}`, NodeType.comp, [], () => undefined), id: 50 + i });
        }
      }),
      { groups, limitPerRule: 3 },
    );
    expect(report.findings).toHaveLength(3);
    expect(report.dropped).toBe(37);
  });
});
