/**
 * `--carrier llmservingsim`: LLMServingSim's ASTRA-sim as the machine, alive for the whole run. Traces
 * are files in its dialect; its questions are answered when the loop has something to say.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { makeFolder } from '@astrolabe/base/cli';
import {
  type ExecutionGraph,
  encodeGraph,
  expandGraphSet,
  GraphBuilder,
  graphFileName,
  NodeType,
  readStreamMetadata,
} from '@astrolabe/chakra';
import type { Cluster } from '@astrolabe/config';
import type { Completion, Counters } from '@astrolabe/system-simulator';
import type { Iteration, TraceGenerator, Transfer } from '@astrolabe/trace-generator';
import type { Backend } from '../../backend.js';
import { type AstraReport, astraInputs } from '../../carriers/astra-inputs.js';
import { controllersOf, QuestionReader, StepBook } from '../../carriers/step-book.js';
import { LineSplitter } from './line-splitter.js';
import { Stage, type StageCommand } from './stage.js';

interface InteractiveOptions {
  readonly generator: TraceGenerator;
  readonly cluster: Cluster;
  readonly command: StageCommand;
  readonly folder: string;
  readonly keep: boolean;
  readonly timeoutMs: number;
}

export class InteractiveBackend implements Backend {
  private readonly options: InteractiveOptions;
  private readonly book: StepBook;
  private readonly reader = new QuestionReader();
  private readonly questions: AstraReport[] = [];
  private stage: Stage | undefined;
  /** Asked and not answered yet. */
  private question: AstraReport | undefined;
  private wake: (() => void) | undefined;
  private readonly splitter = new LineSplitter();
  private complaint: string | undefined;

  constructor(options: InteractiveOptions) {
    this.options = options;
    this.book = new StepBook(options.cluster.instances);
    makeFolder(options.folder);
  }

  submit(iteration: Iteration): void {
    if (iteration.waveTokens !== undefined || iteration.kvSends !== undefined) {
      throw new UserError('instances that talk to each other need --carrier pipe', {
        at: 'llmservingsim',
      });
    }
    const set = this.options.generator.generate(iteration);
    const prefix = join(this.options.folder, `${set.instance}.${set.iteration}`);
    for (const graph of expandGraphSet(set)) {
      this.write(prefix, readStreamMetadata(graph.metadata).npu!, graph);
    }
    this.book.add(set, prefix);
  }

  transfer(_transfer: Transfer): void {
    throw new UserError('transfers between instances need --carrier pipe', { at: 'llmservingsim' });
  }

  async next(untilNs: number): Promise<Completion | undefined> {
    for (;;) {
      const completion = this.book.next(untilNs);
      if (completion !== undefined) {
        this.forget(completion);
        return completion;
      }
      if (this.stage === undefined && this.book.isEmpty) return undefined;
      if (this.book.isEmpty && untilNs === Number.POSITIVE_INFINITY) return undefined;
      if (this.question === undefined) {
        this.question = await this.ask();
        this.book.idle(this.question.npu, this.question.finishNs);
        continue;
      }
      const { npu, finishNs: tickNs } = this.question;
      const prefix = this.book.begin(npu, tickNs);
      if (prefix === undefined && tickNs >= untilNs) return undefined;
      this.answer(prefix ?? 'pass');
    }
  }

  async close(): Promise<Counters | undefined> {
    const { stage } = this;
    if (stage === undefined) return undefined;
    if (this.question === undefined) this.question = await this.ask();
    this.answer('exit');
    stage.input.end();
    const end = await this.inTime(stage.ended, stage);
    if (end.code !== 0) throw stage.error(stage.describeEnd(end));
    return undefined;
  }

  async abort(): Promise<void> {
    this.stage?.kill();
    await this.stage?.ended;
  }

  private answer(text: string): void {
    this.stage!.input.write(`${text}\n`);
    this.question = undefined;
  }

  /** The next question. @throws StageError the binary ended or asks nothing */
  private async ask(): Promise<AstraReport> {
    this.stage ??= this.start();
    const { stage } = this;
    if (this.questions.length === 0 && stage.end === undefined) {
      const question = new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      await this.inTime(question, stage);
    }
    if (this.complaint !== undefined) throw stage.error(`complained: ${this.complaint}`);
    const next = this.questions.shift();
    if (next !== undefined) return next;
    const end = await stage.ended;
    throw stage.error(`${stage.describeEnd(end)} before the run was over`);
  }

  private start(): Stage {
    const { command } = this.options;
    const words = [...command.words, ...this.configuration()];
    const stage = new Stage('astra-sim', { words, foreign: command.foreign });
    stage.output.setEncoding('utf8');
    stage.output.on('data', (text: string) => {
      for (const line of this.splitter.push(text)) {
        // A trace that it could not load; it would ask again as if the step were over.
        if (line.includes('[critical]')) this.complaint ??= line;
        const question = this.reader.push(line);
        if (question !== undefined) this.questions.push(question);
      }
      if (this.questions.length > 0) this.wake?.();
    });
    void stage.ended.then(() => this.wake?.());
    return stage;
  }

  private async inTime<T>(promise: Promise<T>, stage: Stage): Promise<T> {
    const { timeoutMs } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(stage.error(`asked nothing within ${timeoutMs / 1000} s`)),
        timeoutMs,
      );
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Flags for what the user's command does not name, and their files. */
  private configuration(): string[] {
    const { cluster, command, folder } = this.options;
    const inputs = astraInputs(cluster, 1);
    const { starts, ends } = controllersOf(cluster.instances);
    const first = join(folder, 'first');
    for (let npu = 0; npu < inputs.numNpus; npu++) this.write(first, npu, firstGraph());
    const file = (name: string, text: string): string => {
      const path = join(folder, name);
      writeFileSync(path, text);
      return path;
    };
    const memory = JSON.parse(inputs.memoryJson);
    const tier = {
      'memory-type': 'PER_NODE_MEMORY_EXPANSION',
      'mem-latency': memory['remote-mem-latency'],
      'mem-bw': memory['remote-mem-bw'],
      'num-devices': cluster.nodes.length,
    };
    const flags: [string, string][] = [
      ['workload-configuration', first],
      ['network-configuration', file('network.yml', inputs.networkYaml)],
      ['system-configuration', file('system.json', inputs.systemJson)],
      ['memory-configuration', file('memory.json', JSON.stringify({ remote_mem: tier }, null, 2))],
      ['start-npu-ids', starts.join(',')],
      ['end-npu-ids', ends.join(',')],
    ];
    return flags
      .filter(([flag]) => !command.words.some((word) => word.startsWith(`--${flag}`)))
      .map(([flag, value]) => `--${flag}=${value}`);
  }

  private write(prefix: string, npu: number, graph: ExecutionGraph): void {
    writeFileSync(graphFileName(prefix, npu), encodeGraph(graph, { dialect: 'llmservingsim' }));
  }

  private forget(completion: Completion): void {
    if (this.options.keep) return;
    const prefix = join(this.options.folder, `${completion.instance}.${completion.iteration}`);
    const { npus } = this.options.cluster.instances[completion.instance];
    for (const npu of npus) rmSync(graphFileName(prefix, npu), { force: true });
  }
}

/** The binary wants something to run before it asks anything. */
function firstGraph(): ExecutionGraph {
  const builder = new GraphBuilder(4);
  builder.setDuration(builder.addNode(NodeType.comp, 'first'), 1);
  return builder.finish();
}
