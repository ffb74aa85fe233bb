/** What measured links did in a run, by hand. */
import { describe, expect, it } from 'vitest';
import { CommunicationCount, linkError } from './communication-count.js';

const table = (error_pct?: number) => ({
  source: 'a test',
  ...(error_pct === undefined ? {} : { error_pct }),
  curves: [],
});
const npu = (exposedCommNs: number) => ({
  npu: 0,
  startNs: 0,
  finishNs: 1000,
  computeNs: 90 - exposedCommNs,
  exposedCommNs,
  exposedMemoryNs: 10,
});
const completion = (lane: number, exposed: number[]) => ({
  instance: 0,
  iteration: 0,
  lane,
  startNs: 0,
  finishNs: 1000,
  npus: exposed.map(npu),
  commBytes: 0,
  memoryBytes: 0,
  communications: { measured: 3, beyond: 1, simulated: 2 },
});

describe('CommunicationCount', () => {
  it('adds up steps and their share of communication', () => {
    const count = new CommunicationCount([{ file: 'a.json', hardware: 'X', table: table(20) }]);
    count.add(completion(0, [50, 30]));
    count.add(completion(0, [0, 20]));
    // A transfer is no step.
    count.add(completion(1, [100]));
    const use = count.use();
    expect(use).toEqual({
      tables: ['a.json for X: a test'],
      communications: { measured: 9, beyond: 3, simulated: 6 },
      exposedShare: 100 / 400,
      errorPct: 20,
    });
    expect(count.exposedShare).toBe(0.25);
    expect(count.tiersShare).toBe(0.1);
  });

  it('is known to what tables state, what is assumed, or the fit', () => {
    const count = new CommunicationCount([{ file: 'f', table: table(20) }]);
    count.add(completion(0, [50, 30]));
    const links = {
      exposedShare: 0.4,
      tiersShare: 0,
      measured: count.use(),
      fitted: false,
      assumedPct: 30,
    };
    expect(linkError(links)).toBeCloseTo(0.08, 12);
    const unstated = new CommunicationCount([{ file: 'f', table: table() }]).use();
    expect(linkError({ ...links, measured: unstated })).toBeCloseTo(0.12, 12);
    expect(linkError({ ...links, measured: undefined })).toBeCloseTo(0.12, 12);
    expect(linkError({ ...links, measured: undefined, fitted: true })).toBe(0);
    // Nobody fits or measures memory below the devices.
    expect(linkError({ ...links, tiersShare: 0.1, fitted: true })).toBeCloseTo(0.03, 12);
    expect(linkError({ ...links, tiersShare: 0.1 })).toBeCloseTo(0.11, 12);
  });

  it('knows no error where one table states none, and the largest where all do', () => {
    const links = (...errors: (number | undefined)[]) =>
      new CommunicationCount(errors.map((error) => ({ file: 'f', table: table(error) }))).use();
    expect(links(20, undefined)?.errorPct).toBeNull();
    expect(links(20, 5)?.errorPct).toBe(20);
  });

  it('says nothing without tables, and that nobody told it without counts', () => {
    expect(new CommunicationCount(undefined).use()).toBeUndefined();
    const silent = new CommunicationCount([{ file: 'f', table: table() }]);
    const { communications: _, ...plain } = completion(0, [1]);
    silent.add(plain);
    expect(silent.use()?.communications).toBeNull();
  });
});
