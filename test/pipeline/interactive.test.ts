/**
 * Goal: both ends of LLMServingSim's conversation with its simulator: our loop drives such a binary, and
 * `system-simulator` is one. Method: one talks to the other; steps take as long as on our own machine,
 * begin at most 1 ms late (the idle clock's step), and a front end in a few lines of Python agrees.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeGraph, GraphBuilder, NodeType } from '@astrolabe/chakra';
import type { Completion } from '@astrolabe/system-simulator';
import { describe, expect, test } from 'vitest';
import { besideOurs } from './beside-ours.js';
import { binOf, has, inFolder, isBuilt, launch } from './commands.js';
import { scenarios } from './scenarios.js';

const binary = `${process.execPath} ${binOf('system-simulator')}`;

/** The front end's loop: one batch for the first two questions of NPU 0, then done and exit. */
const frontEnd = `
import subprocess, sys
p = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
answers = ["batch", "batch", "pass", "exit"]
while answers:
    last = line = ""
    while "Waiting" not in line:
        last, line = line, p.stdout.readline()
        if not line: sys.exit("the simulator ended")
    print(last.split("[info] ")[1].split(" cycles")[0])
    p.stdin.write(answers.pop(0) + "\\n"); p.stdin.flush()
print(p.stdout.read().splitlines()[-2], p.wait())
`;

/** What that binary knows: it has no measured links, no transfers and no waves of experts. */
const plain = scenarios.slice(0, 5).filter(({ name }) => !name.includes('measured links'));

describe.skipIf(!isBuilt)("LLMServingSim's interactive simulator (needs a build)", () => {
  test.each(plain)('--carrier llmservingsim: $name', (scenario) =>
    inFolder(async (folder) => {
      const flags = ['--carrier', 'llmservingsim', '--system-simulator', binary];
      const { expected, found } = await besideOurs(folder, scenario, flags);
      // An arrival late by a step of the idle clock can fall into another batch.
      expect(Math.abs(found.length - expected.length)).toBeLessThanOrEqual(4);
      const end = (list: Completion[]): number => list[list.length - 1].finishNs;
      expect(Math.abs(end(found) - end(expected))).toBeLessThan(3e6);
      const first = (list: Completion[]): number => list[0].finishNs - list[0].startNs;
      expect(Math.abs(first(found) - first(expected)) / first(expected)).toBeLessThan(1e-4);
    }),
  );

  test.skipIf(!has('python3'))('a front end in Python (needs python3)', () =>
    inFolder(async (folder) => {
      const trace = (name: string, durationNs: number): void => {
        const builder = new GraphBuilder();
        builder.setDuration(builder.addNode(NodeType.comp, name), durationNs);
        const bytes = encodeGraph(builder.finish(), { dialect: 'llmservingsim' });
        writeFileSync(join(folder, `${name}.0.et`), bytes);
      };
      trace('event', 5000);
      trace('batch', 700);
      const file = (name: string, text: string): string => {
        writeFileSync(join(folder, name), text);
        return join(folder, name);
      };
      const network =
        'topology: [FullyConnected]\nnpus_count: [1]\nbandwidth: [16]\nlatency: [20000]\n';
      const system = { 'preferred-dataset-splits': 1, 'local-mem-bw': 936, 'endpoint-delay': 10 };
      const tier = { 'memory-type': 'PER_NODE_MEMORY_EXPANSION', 'mem-latency': 0, 'mem-bw': 256 };
      const outcome = await launch(
        'python3',
        [
          ...['-c', frontEnd, process.execPath, binOf('system-simulator')],
          '--workload-configuration=event',
          `--network-configuration=${file('network.yml', network)}`,
          `--system-configuration=${file('system.json', JSON.stringify(system))}`,
          `--memory-configuration=${file('memory.json', JSON.stringify({ remote_mem: tier }))}`,
          ...['--start-npu-ids=0,', '--end-npu-ids='],
        ],
        { cwd: folder },
      );
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      expect(outcome.stdout.toString().trimEnd().split('\n')).toEqual([
        'sys[0] iteration 0 finished, 5000',
        'sys[0] iteration 1 finished, 5700',
        'sys[0] iteration 2 finished, 6400',
        'sys[0] iteration 2 finished, 1006400',
        'All Request Has Been Exited 0',
      ]);
    }),
  );
});
