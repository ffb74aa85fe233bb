/**
 * What must not outlive us: processes, temporary files, half a result. While something is guarded, a
 * signal that ends us undoes it first and then ends us as it would have, so that a shell sees 128 and
 * the signal's number. Only for runs that wait for other processes: one in this process alone comes
 * round to no signal before its end, and must be left to the system.
 */

/** @param why what the signal did, for a message */
type Undo = (why: string) => void;

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const undos = new Set<Undo>();

/** @returns ends the guard, once */
export function guard(undo: Undo): () => void {
  if (undos.size === 0) {
    for (const signal of signals) process.on(signal, onSignal);
    process.on('exit', onExit);
  }
  undos.add(undo);
  return () => {
    if (!undos.delete(undo) || undos.size > 0) return;
    for (const signal of signals) process.off(signal, onSignal);
    process.off('exit', onExit);
  };
}

/** One that fails keeps none of the others from its turn. */
function undoAll(why: string): void {
  for (const undo of undos) {
    try {
      undo(why);
    } catch (error) {
      process.stderr.write(`serving-loop: ${String(error)}\n`);
    }
  }
}

function onSignal(signal: NodeJS.Signals): void {
  undoAll(`ended by ${signal}`);
  for (const name of signals) process.off(name, onSignal);
  process.kill(process.pid, signal);
}

function onExit(): void {
  undoAll('broke off');
}
