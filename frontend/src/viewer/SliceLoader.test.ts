import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PARALLEL, PAUSE_MS, SliceLoader, TRIES } from './SliceLoader';

interface Waiting {
  index: number;
  urgent: boolean;
  done: (bytes: number) => void;
  fail: (error: Error) => void;
}

function setUp(count: number, budget = 1e9) {
  const waiting: Waiting[] = [];
  const asked: number[] = [];
  const onLoaded = vi.fn();
  const dropped: number[] = [];
  const comes = new Set<number>();
  const loader = new SliceLoader({
    count,
    budget,
    bytes: 50,
    onLoaded,
    comes: (index) => comes.has(index),
    drop: (index) => dropped.push(index),
    load: (index, urgent) => {
      asked.push(index);
      return new Promise((done, fail) => waiting.push({ index, urgent, done, fail }));
    },
  });
  const settle = () => vi.advanceTimersByTimeAsync(0);
  const answer = async (with_: (request: Waiting) => void) => {
    for (const request of waiting.splice(0)) with_(request);
    await settle();
  };
  return { loader, waiting, asked, onLoaded, answer, dropped, comes };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('loading slices', () => {
  it('keeps a few requests going, nearest first, until all are there', async () => {
    const { loader, asked, answer, onLoaded } = setUp(10);
    loader.around(3);
    expect(asked).toEqual([3, 4, 2, 5]);
    expect(asked).toHaveLength(PARALLEL);
    for (let round = 0; round < 3; round += 1) await answer(({ done }) => done(100));
    expect([...asked].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(loader.loaded).toBe(10);
    expect(onLoaded).toHaveBeenCalledTimes(10);
  });

  it('turns to where the person is now', async () => {
    const { loader, asked, answer } = setUp(100);
    loader.around(0);
    loader.around(50);
    await answer(({ done }) => done(100));
    expect(asked.slice(PARALLEL)).toEqual([50, 51, 49, 52]);
  });

  it('gets through 20,000 slices of an fMRI without looking at all of them for each', async () => {
    const { loader, asked, answer } = setUp(20_000);
    loader.around(10_000);
    while (loader.loaded < 20_000) await answer(({ done }) => done(100));
    expect(new Set(asked).size).toBe(20_000);
    loader.forget(9_990);
    loader.around(10_000);
    expect(asked.at(-1)).toBe(9_990);
  });

  it('takes no more than the memory holds, and learns how large slices are', async () => {
    const { loader, asked, answer } = setUp(100, 400);
    loader.around(50);
    for (let round = 0; round < 5; round += 1) await answer(({ done }) => done(100));
    expect(asked.length).toBeLessThanOrEqual(PARALLEL + 4);
    expect(loader.span(50)).toEqual({ first: 48, last: 51 });
    expect(loader.loaded).toBeLessThanOrEqual(4);
  });

  it('lets go of what is farthest when the person goes on, never of what is near', async () => {
    const { loader, answer, dropped } = setUp(100, 1000);
    loader.around(5);
    for (let round = 0; round < 5; round += 1) await answer(({ done }) => done(100));
    expect([loader.loaded, dropped]).toEqual([10, []]);
    const shown = loader.now(90);
    await answer(({ done }) => done(100));
    await shown;
    expect(loader.has(90)).toBe(true);
    expect(dropped.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    loader.around(90);
    for (let round = 0; round < 5; round += 1) await answer(({ done }) => done(100));
    expect(loader.loaded).toBe(10);
  });

  it('keeps one slice at least, however large', async () => {
    const { loader, answer } = setUp(3, 10);
    for (const index of [0, 1, 2]) {
      const shown = loader.now(index);
      await answer(({ done }) => done(100));
      await shown;
      expect([loader.has(index), loader.loaded]).toEqual([true, 1]);
    }
  });

  it('leaves to the packs what they bring', async () => {
    const { loader, asked, comes } = setUp(10);
    for (const index of [0, 1, 2, 3, 5, 6, 7, 8]) comes.add(index);
    loader.around(0);
    expect(asked).toEqual([4, 9]);
  });

  it('asks again for a slice that was pushed out', async () => {
    const { loader, asked, answer } = setUp(1);
    loader.around(0);
    await answer(({ done }) => done(100));
    loader.forget(0);
    expect(loader.has(0)).toBe(false);
    loader.around(0);
    expect(asked).toEqual([0, 0]);
  });

  it('tells the person who waits of a failure', async () => {
    const { loader, answer } = setUp(1);
    const result = expect(loader.now(0)).rejects.toThrow('away');
    await answer(({ fail }) => fail(new Error('away')));
    await result;
    expect(loader.has(0)).toBe(false);
  });

  it('rests after a failure, tries once more, and then leaves the slice alone', async () => {
    const { loader, asked, answer } = setUp(2);
    loader.around(0);
    await answer(({ fail }) => fail(new Error('away')));
    await vi.advanceTimersByTimeAsync(PAUSE_MS - 1);
    expect(asked).toEqual([0, 1]);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked).toEqual([0, 1, 0, 1]);
    await answer(({ fail }) => fail(new Error('away')));
    await vi.advanceTimersByTimeAsync(10 * PAUSE_MS);
    expect(asked).toHaveLength(2 * TRIES);
  });

  it('does nothing more once stopped', async () => {
    const { loader, asked, answer, onLoaded } = setUp(10);
    loader.around(0);
    loader.stop();
    await answer(({ done }) => done(100));
    expect(asked).toHaveLength(PARALLEL);
    expect(onLoaded).not.toHaveBeenCalled();
  });
});
