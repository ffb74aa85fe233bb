/** What a command records beside its results, as its options ask. */
import { UserError } from '@astrolabe/base';
import { writeFileWhole } from '@astrolabe/base/cli';
import type { AstraListeners } from '../astra/run.js';
import type { Counters } from '../counters.js';
import { Fingerprint, MessageTrace, NodeResults } from './results.js';
import { summaryText } from './summary.js';

interface RecorderOptions {
  readonly nodeResults?: string;
  readonly messageTrace?: string;
  readonly fingerprint?: boolean;
}

interface CounterOptions {
  /** Where the counters go. */
  readonly counters?: string;
  readonly summary?: boolean;
}

/** What was counted, as its options ask; the summary goes to stderr. */
export function tellCounters(counters: Counters, options: CounterOptions): void {
  if (options.counters !== undefined) {
    writeFileWhole(options.counters, `${JSON.stringify(counters)}\n`);
  }
  if (options.summary === true) process.stderr.write(summaryText(counters));
}

/** Factor per NPU from `3=1.5,7=2`; the others compute at full speed. */
export function parseSlowdown(text: string, numNpus: number): number[] {
  const factors = new Array<number>(numNpus).fill(1);
  for (const part of text.split(',')) {
    const match = /^(\d+)=(\d+(?:\.\d+)?)$/.exec(part);
    if (match === null || Number(match[1]) >= numNpus || Number(match[2]) <= 0) {
      throw new UserError(
        `expected NPU=FACTOR with an NPU below ${numNpus} and a factor > 0, got "${part}"`,
        {
          at: '--slowdown',
        },
      );
    }
    factors[Number(match[1])] = Number(match[2]);
  }
  return factors;
}

/** What is recorded on the way, anew for each attempt. */
export class Recorders {
  private readonly options: RecorderOptions;
  private nodes: NodeResults | undefined;
  private messages: MessageTrace | undefined;
  private hash: Fingerprint | undefined;

  constructor(options: RecorderOptions) {
    this.options = options;
  }

  listeners(): AstraListeners {
    const { nodeResults, messageTrace, fingerprint } = this.options;
    const nodes = nodeResults === undefined ? undefined : new NodeResults();
    const messages = messageTrace === undefined ? undefined : new MessageTrace();
    const hash = fingerprint ? new Fingerprint() : undefined;
    this.nodes = nodes;
    this.messages = messages;
    this.hash = hash;
    return {
      ...(nodes === undefined && hash === undefined
        ? {}
        : {
            onNode: (event, run, node, timeNs) => {
              nodes?.add(event, run, node, timeNs);
              hash?.addNode(event, run, node, timeNs);
            },
          }),
      ...(messages === undefined && hash === undefined
        ? {}
        : {
            onMessage: (event, timeNs, src, dst, tag, sizeBytes) => {
              messages?.add(event, timeNs, src, dst, tag, sizeBytes);
              hash?.addMessage(event, timeNs, src, dst, sizeBytes);
            },
          }),
    };
  }

  /** Messages are told one by one only if every one is an event. */
  get needMessages(): boolean {
    return this.options.messageTrace !== undefined || this.options.fingerprint === true;
  }

  async write(): Promise<void> {
    const { nodeResults, messageTrace } = this.options;
    if (nodeResults !== undefined) await this.nodes?.write(nodeResults);
    if (messageTrace !== undefined) this.messages?.write(messageTrace);
    if (this.hash !== undefined) process.stderr.write(`fingerprint ${this.hash.digest()}\n`);
  }
}
