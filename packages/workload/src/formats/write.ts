/** Workloads out again: our NDJSON, LLMServingSim's JSONL, the compact CSV. One string per line. */
import { UserError } from '@astrolabe/base';
import { materialise } from '../content.js';
import type { Request } from '../request.js';

interface WriteOptions {
  /** Write token ids made from the prefix tree where the format can hold them. */
  readonly tokenIds: boolean;
}

type Writer = (requests: readonly Request[], options: WriteOptions) => Iterable<string>;

export type WorkloadWriterName = 'astrolabe' | 'llmservingsim' | 'compact';

export const workloadWriters: Readonly<Record<WorkloadWriterName, Writer>> = {
  astrolabe: writeAstrolabe,
  llmservingsim: writeLlmServingSim,
  compact: writeCompact,
};

function* writeAstrolabe(requests: readonly Request[], options: WriteOptions): Generator<string> {
  const content = options.tokenIds ? materialise(requests) : undefined;
  for (const [index, request] of requests.entries()) {
    const ids = content?.sequence(index);
    if (ids === undefined) {
      yield JSON.stringify(request);
      continue;
    }
    const { prefix: _, ...rest } = request;
    yield JSON.stringify({ ...rest, ...split(ids, request, 'promptTokenIds', 'outputTokenIds') });
  }
}

/** Fresh ids are negative inside; on the wire they follow a vocabulary of 2^17. */
function split(
  ids: Int32Array,
  request: Request,
  promptName: string,
  outputName: string,
): Record<string, number[]> {
  const wire = Array.from(ids, (id) => (id < 0 ? 2 ** 17 - 1 - id : id));
  return {
    [promptName]: wire.slice(0, request.promptTokens),
    [outputName]: wire.slice(request.promptTokens),
  };
}

/** Linear sessions become `sub_requests`; other dependencies have no place in the format. */
function* writeLlmServingSim(
  requests: readonly Request[],
  options: WriteOptions,
): Generator<string> {
  const content = materialise(requests);
  const call = (index: number): Record<string, unknown> => {
    const request = requests[index];
    const ids =
      options.tokenIds || request.promptTokenIds !== undefined
        ? content.sequence(index)
        : undefined;
    return {
      input_toks: request.promptTokens,
      output_toks: request.outputTokens,
      ...(ids === undefined ? {} : split(ids, request, 'input_tok_ids', 'output_tok_ids')),
    };
  };
  const chains = linearSessions(requests);
  for (const [index, request] of requests.entries()) {
    const chain = chains.get(request.session ?? '');
    if (chain === undefined) {
      yield JSON.stringify({ ...call(index), arrival_time_ns: request.arrivalNs });
    } else if (chain[0] === index) {
      const calls = chain.map((member, turn) => ({
        ...call(member),
        tool_duration_ns: turn + 1 < chain.length ? (requests[chain[turn + 1]].thinkNs ?? 0) : 0,
      }));
      yield JSON.stringify({
        session_id: request.session,
        arrival_time_ns: request.arrivalNs,
        sub_requests: calls,
      });
    }
  }
}

/** Indices of the requests of each session, where every one waits for exactly the one before. */
function linearSessions(requests: readonly Request[]): Map<string, number[]> {
  const chains = new Map<string, number[]>();
  for (const [index, { session, after = [], id }] of requests.entries()) {
    if (session === undefined && after.length === 0) continue;
    const chain = chains.get(session ?? '') ?? [];
    const before = chain.length === 0 ? undefined : requests[chain[chain.length - 1]].id;
    if (session === undefined || after.length > 1 || after[0] !== before) {
      throw new UserError(`request ${id}: its dependencies are not a chain within one session`, {
        hint: 'LLMServingSim sessions are chains; write our own format instead',
      });
    }
    chain.push(index);
    chains.set(session, chain);
  }
  return chains;
}

function* writeCompact(requests: readonly Request[]): Generator<string> {
  const indexById = new Map<string, number>();
  yield 'request,arrival_ns,input_toks,output_toks,prefix_parent,prefix_len';
  for (const [index, request] of requests.entries()) {
    if (request.after !== undefined || request.promptTokenIds !== undefined) {
      throw new UserError(
        `request ${request.id}: the compact CSV has no place for ${
          request.after !== undefined ? 'dependencies' : 'token ids'
        }`,
        { hint: '--anonymise turns token ids into a prefix tree' },
      );
    }
    indexById.set(String(request.id), index);
    const { prefix, arrivalNs, promptTokens, outputTokens } = request;
    const parent = prefix === undefined ? -1 : indexById.get(String(prefix.of));
    yield [index, arrivalNs, promptTokens, outputTokens, parent, prefix?.tokens ?? 0].join(',');
  }
}
