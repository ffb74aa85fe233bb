/**
 * A stage that plays back its part of a kept run and fails in one way at one point.
 * usage: faulty-stage.mjs ROLE FOLDER FAULT POSITION
 *   ROLE      generator (lines in, graph bytes out) or simulator (graph bytes in, lines out)
 *   FAULT     none, kill, exit, stall, garbage, cut, mute, orphan
 *   POSITION  the answer at which it happens, 0-based
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [role, folder, fault, position] = process.argv.slice(2);

/** What to write after each request, as a list of byte strings. */
function parts() {
  if (role === 'simulator') {
    return readFileSync(join(folder, 'system-simulator.out.ndjson'), 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => Buffer.from(`${line}\n`));
  }
  return chunksAtAdvances(readFileSync(join(folder, 'system-simulator.in.et')));
}

/** The graph stream cut behind each clock request. */
function chunksAtAdvances(bytes) {
  const chunks = [];
  let start = 0;
  let at = 0;
  while (at < bytes.length) {
    let length = 0;
    let factor = 1;
    let byte = 128;
    while (byte > 127) {
      byte = bytes[at++];
      length += (byte & 127) * factor;
      factor *= 128;
    }
    at += length;
    if (!bytes.subarray(at - length, at).includes('advance_ns')) continue;
    chunks.push(bytes.subarray(start, at));
    start = at;
  }
  return chunks;
}

const answers = parts();
const request = role === 'simulator' ? 'advance_ns' : '"advanceNs"';
let next = 0;
let rest = Buffer.alloc(0);
process.stderr.write(`${role} of the test is ready\n`);

process.stdin.on('data', (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  for (;;) {
    const found = rest.indexOf(request);
    // The value follows the name; one that is not whole yet is waited for.
    if (found < 0 || !whole(found + request.length)) return;
    rest = rest.subarray(found + request.length);
    answer(next++);
  }
});

/** Requests come one at a time, so that what follows the name is the end of the request. */
function whole(end) {
  return role === 'simulator' ? rest.length >= end + 3 : rest.includes('\n', end);
}

const faults = {
  kill: () => process.kill(process.pid, 'SIGKILL'),
  exit: () => {
    process.stderr.write('I give up\n');
    process.exitCode = 7;
    process.stdin.destroy();
  },
  stall: () => process.stdin.pause() && setInterval(() => {}, 1000),
  garbage: (bytes) => {
    process.stdout.write(bytes.map((_, i) => 255 - ((i * 37) & 15)));
    if (role === 'simulator') process.stdout.write('\n');
  },
  cut: (bytes) => {
    process.stdout.write(bytes.subarray(0, bytes.length >> 1));
    process.stdin.destroy();
  },
  mute: () => process.stdout.end() && setInterval(() => {}, 1000),
  orphan: () => {
    spawn('sh', ['-c', `sleep 1000; : ${folder}`], { stdio: 'inherit' });
    process.kill(process.pid, 'SIGKILL');
  },
};

function answer(index) {
  const bytes = answers[index];
  if (fault === 'none' || index !== Number(position)) process.stdout.write(bytes);
  else faults[fault](bytes);
}
