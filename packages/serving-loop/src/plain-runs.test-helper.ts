/** For tests: plain engines on machines, several launching together or one handing over to another. */
import type { Request } from '@astrolabe/workload';
import type { PlainOptions } from './plain-blocks.test-helper.js';
import { PlainEngine, type PlainRun, type Wait } from './plain-engine.test-helper.js';

/**
 * Ranks that launch every step together: each is a loop of its own, which meets the others
 * at every launch. A rank without work launches dummies, which nobody waits for. When all wait with
 * dummies the group stands still until a request comes.
 * @param requests of each rank
 */
export function runPlainGroup(
  requests: readonly (readonly Request[])[],
  options: PlainOptions,
): PlainRun[] {
  const engines = requests.map((own) => new PlainEngine(own, options));
  const loops = engines.map((engine) => engine.loop(engines.length > 1));
  const waits = loops.map((loop) => loop.next().value as Wait);
  let nowNs = 0;
  let endNs = -1;
  const resume = (rank: number): void => {
    waits[rank] = loops[rank].next({ nowNs, endNs }).value as Wait;
  };
  for (let turns = 0; engines.some((engine) => !engine.isDone); turns++) {
    if (turns > 10_000) throw new Error('the plain engines are stuck');
    const due = waits.findIndex((wait) => 'untilNs' in wait && wait.untilNs <= nowNs);
    if (due >= 0) {
      resume(due);
      continue;
    }
    const launches = waits.flatMap((wait) => ('entries' in wait ? [wait.entries] : []));
    if (launches.length === waits.length) {
      const works = launches.some((entries) => entries.length > 0);
      const isAsked = engines.some((engine) => engine.isAsked(nowNs));
      // Long after the last step the dummies are not launched, they are given up.
      const stopped = !works && (engines.length === 1 || endNs < nowNs);
      if (works || isAsked) {
        if (!stopped) {
          const startNs = Math.max(nowNs, endNs);
          engines.forEach((engine, rank) => {
            engine.record(startNs, launches[rank], launches);
          });
          endNs = startNs + options.stepNs;
        }
        for (let rank = 0; rank < engines.length; rank++) resume(rank);
        continue;
      }
    }
    const next = [
      ...waits.flatMap((wait) => ('untilNs' in wait ? [wait.untilNs] : [])),
      ...engines.map((engine) => engine.nextArrivalNs(nowNs)),
    ];
    nowNs = Math.min(...next);
  }
  return engines.map((engine) => engine.result());
}

/** Times of two instances and of a hand-over. */
interface PlainTimes {
  readonly prefillNs: number;
  readonly decodeNs: number;
  readonly transferNs: number;
}

/**
 * Prompts on one instance, answers on another: a prefilled request enters the other, gets
 * blocks there, then its KV is fetched, one request after another; both look for its end once a step.
 */
export function runPlainPair(
  requests: readonly Request[],
  options: PlainOptions,
  times: PlainTimes,
): PlainRun[] {
  const legs = requests.map((request) => ({ ...request, outputTokens: 1 }));
  const engines = [
    new PlainEngine(legs, options, 'prefill'),
    new PlainEngine(requests, options, 'decode'),
  ];
  const stepNs = [times.prefillNs, times.decodeNs];
  const loops = engines.map((engine) => engine.loop(false));
  const waits = loops.map((loop) => loop.next().value as Wait);
  const endsNs = [-1, -1];
  const transfers: { id: Request['id']; endNs: number }[] = [];
  let nowNs = 0;
  /** Lets one engine go on if it can. */
  const goOn = (side: number): boolean => {
    const wait = waits[side];
    const engine = engines[side];
    if ('untilNs' in wait) {
      if (wait.untilNs > nowNs) return false;
    } else if (wait.entries.length > 0) {
      const startNs = Math.max(nowNs, endsNs[side]);
      engine.record(startNs, wait.entries, []);
      endsNs[side] = startNs + stepNs[side];
    } else if (!engine.isWoken(nowNs)) return false;
    waits[side] = loops[side].next({ nowNs, endNs: endsNs[side] }).value as Wait;
    for (const { what, request } of engine.events.splice(0)) {
      if (what === 'prefilled') engines[1].enter(request.id);
      else {
        const freeNs = transfers.at(-1)?.endNs ?? 0;
        transfers.push({ id: request.id, endNs: Math.max(nowNs, freeNs) + times.transferNs });
      }
    }
    return true;
  };
  for (let turns = 0; !engines[1].isDone; turns++) {
    if (turns > 10_000) throw new Error('the plain pair is stuck');
    for (const { id, endNs } of transfers) {
      if (endNs !== nowNs) continue;
      engines[0].tell({ id, what: 'gone' });
      engines[1].tell({ id, what: 'come' });
    }
    while (goOn(0) || goOn(1));
    nowNs = Math.min(
      ...waits.flatMap((wait) => ('untilNs' in wait ? [wait.untilNs] : [])),
      ...transfers.flatMap(({ endNs }) => (endNs > nowNs ? [endNs] : [])),
      engines[0].nextArrivalNs(nowNs),
    );
  }
  return engines.map((engine) => engine.result());
}
