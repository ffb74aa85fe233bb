/**
 * Goal: a conversation with two co-processes ends well, or ends soon and says who was at fault and how.
 * Method: stages are few-line Node programs that keep the protocol or break it in one way each.
 */
import { expect, test } from 'vitest';
import { PipeBackend } from './pipe.js';
import { FrameWatcher, LineWatcher } from './relay-watcher.js';
import { splitCommand } from './stage-command.js';

const iteration = {
  instance: 0,
  iteration: 0,
  releaseNs: 100,
  requests: [0],
  newTokens: [4],
  contextTokens: [0],
};
const completion = {
  instance: 0,
  iteration: 0,
  lane: 0,
  startNs: 100,
  finishNs: 150,
  npus: [],
  commBytes: 0,
  memoryBytes: 0,
};

/** A Node program that sees `line` for each input line. */
function program(body: string): string[] {
  const source = `require('node:readline').createInterface({ input: process.stdin })
    .on('line', (line) => { ${body} });`;
  return [process.execPath, '-e', source];
}

const copy = program('console.log(line)');
/** Answers an iteration's first request with its completion, later ones with the time. */
const answer = program(`
  const { advanceNs } = JSON.parse(line);
  if (advanceNs === undefined) globalThis.due = true;
  else if (globalThis.due && advanceNs >= 150) {
    globalThis.due = false;
    console.log('${JSON.stringify(completion)}');
  } else console.log(JSON.stringify({ advancedNs: advanceNs }));`);

function backend(simulator: string[], generator = copy, timeoutMs = 5000): PipeBackend {
  return new PipeBackend({
    generator: { words: generator, foreign: true },
    simulator: { words: simulator, foreign: true },
    timeoutMs,
    watcher: new LineWatcher(),
  });
}

async function failure(pipe: PipeBackend): Promise<string> {
  pipe.submit(iteration);
  try {
    for (let i = 0; i < 3; i++) await pipe.next(200 + i);
    await pipe.close();
  } catch (error) {
    return (error as Error).message;
  }
  return 'no failure';
}

test('one round trip per clock request, in order; nothing is left at the end', async () => {
  const pipe = backend(answer);
  expect(await pipe.next(50)).toBeUndefined();
  pipe.submit(iteration);
  expect(await pipe.next(120)).toBeUndefined();
  expect(await pipe.next(200)).toEqual(completion);
  expect(await pipe.next(Number.POSITIVE_INFINITY)).toBeUndefined();
  expect(await pipe.close()).toBeUndefined();
});

test('a stage that ends tells its exit code and its last words', async () => {
  const dies = program(
    "process.stderr.write('first\\nlast words\\n'); process.exitCode = 3; process.stdin.destroy();",
  );
  const message = await failure(backend(dies));
  expect(message).toMatch(
    /^system-simulator \(.*\) ended with exit code 3 before the run was over/,
  );
  expect(message).toMatch(/\n {2}\| first\n {2}\| last words$/);
});

test('a stage ended by a signal, and one that does not exist', async () => {
  const killed = program("process.kill(process.pid, 'SIGKILL')");
  expect(await failure(backend(killed))).toMatch(/^system-simulator .* was ended by SIGKILL/);
  expect(await failure(backend(copy, ['no-such-stage']))).toMatch(
    /^trace-generator \(no-such-stage\) could not be started: no such command$/,
  );
});

test('the silent stage is the one that owes the answer', async () => {
  const silent = program('');
  expect(await failure(backend(silent, copy, 1500))).toMatch(
    /^system-simulator .* did not answer within 1\.5 s; its input came from trace-generator \(/,
  );
  expect(await failure(backend(answer, silent, 1500))).toMatch(
    /^trace-generator .* did not answer within 1\.5 s/,
  );
});

test('answers that cannot be right are refused with their line', async () => {
  const say = (value: unknown) => program(`console.log('${JSON.stringify(value)}')`);
  expect(await failure(backend(program("console.log('{oops')")))).toMatch(
    /gave a wrong answer: line 1: not a complete JSON object/,
  );
  expect(await failure(backend(say({ ...completion, iteration: 9 })))).toMatch(
    /line 1: iteration 9 of instance 0 is not on its way/,
  );
  expect(await failure(backend(say({ ...completion, finishNs: 99 })))).toMatch(
    /line 1: finishNs 99 is not between 100 and 200/,
  );
  expect(await failure(backend(say({ advancedNs: 7 })))).toMatch(
    /line 1: advancedNs 7, but the clock was to run to 200; its input came from trace-generator \(/,
  );
});

test('steps of an instance are answered in their order, beside moves on another lane', async () => {
  const hasty = program(`const { advanceNs, iteration } = JSON.parse(line);
    if (advanceNs) console.log(JSON.stringify({ ...${JSON.stringify(completion)}, iteration: 1 }));`);
  const pipe = backend(hasty);
  pipe.submit(iteration);
  pipe.submit({ ...iteration, iteration: 1 });
  await expect(pipe.next(Number.POSITIVE_INFINITY)).rejects.toThrow(
    /line 1: iteration 1 of instance 0 is answered before its iteration 0/,
  );
});

test('a stage that loses an iteration is found out when nothing is left to run', async () => {
  const loses = program(`const { advanceNs } = JSON.parse(line);
    if (advanceNs) console.log(JSON.stringify({ advancedNs: advanceNs }));`);
  const pipe = backend(loses);
  pipe.submit(iteration);
  await expect(pipe.next(Number.POSITIVE_INFINITY)).rejects.toThrow(
    /nothing left to run, but 1 have no completion, the first is iteration 0 of instance 0/,
  );
});

test('a failing exit code after the last answer is a failure too', async () => {
  const sulks = [process.execPath, '-e', `${answer[2]} process.exitCode = 5;`];
  expect(await failure(backend(sulks))).toMatch(/ended with exit code 5/);
});

test('frames: counts clock requests across any cut, refuses what is no frame', () => {
  const metadata = Buffer.concat([
    Buffer.from([0x0a, 1]),
    Buffer.from('1'),
    Buffer.from('advance_ns'),
  ]);
  const node = Buffer.concat([Buffer.from([0x12]), Buffer.from('advance_ns')]);
  const stream = Buffer.concat(
    [metadata, node, Buffer.alloc(0), metadata].flatMap((body) => [
      Buffer.from([body.length]),
      body,
    ]),
  );
  for (let step = 1; step <= stream.length; step++) {
    const watcher = new FrameWatcher();
    for (let i = 0; i < stream.length; i += step) watcher.push(stream.subarray(i, i + step));
    expect(watcher.numAdvances).toBe(2);
  }
  expect(() => new FrameWatcher().push(Buffer.alloc(8, 0xff))).toThrow(
    /^byte 0: not a length prefix/,
  );
});

test('commands are words; what needs a shell is refused', () => {
  expect(splitCommand(`python3 'my stage.py' --x "a b" *.et $HOME`, '--x')).toEqual([
    'python3',
    'my stage.py',
    '--x',
    'a b',
    '*.et',
    '$HOME',
  ]);
  expect(() => splitCommand('a | b', '--x')).toThrow(/^--x: "\|" needs a shell/);
  expect(() => splitCommand('  ', '--x')).toThrow('--x: empty command');
});
