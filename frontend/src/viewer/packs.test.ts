import { describe, expect, it, vi } from 'vitest';
import type { Pack } from '../api/pacs';
import type { Dataset } from '../dicom/dataset';
import type { Frame } from './frames';
import { PackStream } from './PackStream';
import { cut, nextSegment, type PackedFrame, packedFrames, placeNear } from './packs';
import { spanAround } from './prefetch';

const dataset = (uid: string): Dataset => ({ '00080018': { vr: 'UI', Value: [uid] } });
const single = (uid: string): Frame => ({ imageId: uid, dataset: dataset(uid), frame: 1 });
const JPEG_LS = '1.2.840.10008.1.2.4.80';

function pack(url: string, uids: readonly string[], length: number): Pack {
  const instances = uids.map((uid, place) => ({
    uid,
    transferSyntax: JPEG_LS,
    runs: [[100 + place * (length + 50), length, 1]] as [number, number, number][],
  }));
  return { url, instances };
}

/** The slices of each request, in the order of reading. */
function reads(frames: readonly PackedFrame[], start: number, isWanted = (_: number) => true): number[][] {
  const read = new Set<number>();
  const wanted = (index: number) => isWanted(index) && !read.has(index);
  const requests: number[][] = [];
  let place = placeNear(frames, start, wanted);
  for (let found = nextSegment(frames, place, wanted); found !== null; found = nextSegment(frames, place, wanted)) {
    for (const { index } of found.segment) read.add(index);
    requests.push(found.segment.map(({ index }) => index));
    place = found.next;
  }
  return requests;
}

/** A pack whose bytes say where they are. */
const bytesAt = (from: number, to: number) =>
  Uint8Array.from({ length: to - from }, (_, index) => (from + index) % 251);

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe('where frames lie in packs', () => {
  it('finds single frames, frames of a multi-frame instance, and nothing that the series does not show', () => {
    const many: Frame[] = [1, 2, 3].map((frame) => ({ imageId: `m${frame}`, dataset: dataset('m'), frame }));
    const found = packedFrames(
      [
        pack('/a', ['x', 'unknown'], 10),
        {
          url: '/b',
          instances: [
            {
              uid: 'm',
              transferSyntax: JPEG_LS,
              runs: [
                [7, 5, 2],
                [30, 6, 1],
              ],
            },
          ],
        },
      ],
      [single('y'), ...many, single('x')],
    );
    expect(found.map(({ index, url, offset, length }) => [index, url, offset, length])).toEqual([
      [4, '/a', 100, 10],
      [1, '/b', 7, 5],
      [2, '/b', 12, 5],
      [3, '/b', 30, 6],
    ]);
  });

  it('reads from where the person is to the end, and then what was left out', () => {
    const frames = ['a', 'b', 'c', 'd', 'e', 'f'].map(single);
    const packed = packedFrames([pack('/1', ['a', 'b', 'c'], 10), pack('/2', ['d', 'e', 'f'], 10)], frames);
    expect(reads(packed, 0)).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(reads(packed, 1)).toEqual([[1, 2], [3, 4, 5], [0]]);
    expect(reads(packed, 4)).toEqual([[4, 5], [0, 1, 2], [3]]);
    expect(reads(packed, 4, (index) => index !== 4)).toEqual([
      [3, 5],
      [0, 1, 2],
    ]);
    expect(reads(packed, 0, () => false)).toEqual([]);
    expect(reads([], 0)).toEqual([]);
  });

  it('leaves out a long stretch that is not wanted', () => {
    const packed = packedFrames([pack('/1', ['a', 'b', 'c'], 2 << 20)], ['a', 'b', 'c'].map(single));
    expect(reads(packed, 0, (index) => index !== 1)).toEqual([[0], [2]]);
  });

  it.each([1, 7, 64, 1000])(
    'cuts frames out of chunks of %i bytes, whatever comes before and between',
    async (size) => {
      const segment = packedFrames([pack('/1', ['a', 'b', 'c'], 20)], ['a', 'b', 'c'].map(single));
      const got: PackedFrame[] = [];
      for await (const { frame, bytes } of cut(segment, inChunks(bytesAt(90, 400), size), 90)) {
        expect([...bytes]).toEqual([...bytesAt(frame.offset, frame.offset + 20)]);
        expect(bytes.buffer.byteLength).toBe(20);
        got.push(frame);
      }
      expect(got).toEqual(segment);
    },
  );

  it('says so when a pack ends too early', async () => {
    const segment = packedFrames([pack('/1', ['a', 'b'], 20)], ['a', 'b'].map(single));
    const all = async () => {
      for await (const _ of cut(segment, inChunks(bytesAt(100, 150), 16), 100));
    };
    await expect(all()).rejects.toThrow('too early');
  });
});

describe('the end of an answer', () => {
  const { segment } = nextSegment(
    packedFrames([pack('/a', ['a', 'b'], 10)], ['a', 'b'].map(single)),
    0,
    () => true,
  ) ?? {
    segment: [],
  };
  const read = async (to: number, size: number) => {
    let ended = false;
    async function* answer() {
      yield* inChunks(bytesAt(100, to), size);
      ended = true;
    }
    let frames = 0;
    for await (const _ of cut(segment, answer(), 100)) frames += 1;
    return { frames, ended };
  };

  it.each([7, 35, 1000])(
    'is read when it ends with the range, so the connection is kept (chunks of %i)',
    async (size) => {
      expect(await read(170, size)).toEqual({ frames: 2, ended: true });
    },
  );

  it.each([7, 70, 1000])('is not waited for when more than the range comes (chunks of %i)', async (size) => {
    expect(await read(100_000, size)).toEqual({ frames: 2, ended: false });
  });
});

describe('streaming packs', () => {
  interface Options {
    count?: number;
    fails?: boolean;
    whole?: boolean;
    broken?: number;
    capacity?: number;
    /** Slices of one place lie so many apart in the packs: a volume at a time. */
    places?: number;
  }

  function setUp({ count = 40, fails, whole, broken, capacity = count, places = 1 }: Options = {}) {
    const times = count / places;
    // Shown by place, then time; packed by time, then place.
    const shownAt = (packed: number) => (packed % places) * times + Math.floor(packed / places);
    const uids = Array.from({ length: count }, (_, packed) => `i${shownAt(packed)}`);
    const shown = Array.from({ length: count }, (_, index) => single(`i${index}`));
    const half = count / 2;
    const frames = packedFrames([pack('/1', uids.slice(0, half), 300), pack('/2', uids.slice(half), 300)], shown);
    const there = new Set<number>();
    const asked: string[] = [];
    const order: number[] = [];
    let end: () => void = () => {};
    let most = 0;
    let cutOff = 0;
    const span = (index: number) => spanAround(index, count, capacity);
    let at = 0;
    const stream = new PackStream({
      frames,
      span,
      has: (index) => there.has(index),
      fetch: async (url, init) => {
        const range = (init.headers as Record<string, string>).Range ?? '';
        asked.push(`${url} ${range}`);
        init.signal?.addEventListener('abort', () => {
          cutOff += 1;
        });
        if (fails) throw new TypeError('away');
        const [from = 0, to = 0] = whole ? [0, 350 * half + 100] : (range.match(/\d+/g) ?? []).map(Number);
        return new Response(bytesAt(from, to + 1), { status: whole ? 200 : 206 });
      },
      deliver: async ({ index, offset }, bytes) => {
        expect(bytes.length === 300 && bytes.every((byte, place) => byte === (offset + place) % 251)).toBe(true);
        order.push(index);
        if (index === broken) throw new Error('not a picture');
        there.add(index);
        if (there.size > capacity) {
          const { first, last } = span(at);
          for (const old of there) if (old < first || old > last) there.delete(old);
        }
        most = Math.max(most, there.size);
      },
      onEnd: () => end(),
    });
    /** Goes there, and waits until all that is read from there has been read; at once when nothing is. */
    const goTo = async (index: number) => {
      at = index;
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      const before = asked.length;
      stream.from(index);
      if (asked.length > before) await ended;
    };
    return { stream, asked, order, there, goTo, most: () => most, cutOff: () => cutOff };
  }

  it('reads a series with one request a pack', async () => {
    const { stream, asked, order, goTo } = setUp();
    await goTo(0);
    expect(asked).toEqual(['/1 bytes=100-7049', '/2 bytes=100-7049']);
    expect(order).toEqual(Array.from({ length: 40 }, (_, index) => index));
    expect(stream.failed).toBe(false);
  });

  it('begins where the person is, and takes a store that knows no ranges', async () => {
    const { order, goTo } = setUp({ whole: true });
    await goTo(25);
    expect(order.slice(0, 15)).toEqual(Array.from({ length: 15 }, (_, index) => 25 + index));
    expect(new Set(order).size).toBe(40);
  });

  it('turns to where the person goes, and reads nothing twice', async () => {
    const { stream, asked, order, goTo } = setUp();
    stream.from(0);
    stream.from(1); // comes soon
    await goTo(30);
    expect(asked[1]).toBe('/2 bytes=3600-7049');
    expect(order[0]).toBe(30);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, index) => index));
  });

  it('ends without a word when the packs cannot be had: who wants a slice asks for it', async () => {
    const { stream, order, goTo } = setUp({ fails: true });
    expect(stream.brings(3)).toBe(true);
    await goTo(0);
    expect(order).toEqual([]);
    expect(stream.failed).toBe(true);
    expect(stream.brings(3)).toBe(false);
  });

  it('reads a picture that cannot be decoded once, and leaves it to who asks', async () => {
    const { stream, order, goTo } = setUp({ broken: 7 });
    await goTo(0);
    await goTo(7);
    expect(order.filter((index) => index === 7)).toEqual([7]);
    expect([stream.brings(6), stream.brings(7), stream.brings(8)]).toEqual([true, false, true]);
  });

  it('reads a series through a memory of a twentieth, to the end and back, a stretch a request', async () => {
    const { asked, there, goTo, most } = setUp({ count: 2_000, capacity: 100 });
    const way = [...Array(2_000).keys()];
    for (const index of [...way, ...way.reverse()]) {
      await goTo(index);
      expect(there.has(index)).toBe(true);
    }
    expect(most()).toBeLessThanOrEqual(101);
    expect(asked.length).toBeLessThanOrEqual((2 * 2_000) / 25 + 10);
  });

  it('jumps in such a series, and reads around there', async () => {
    const { order, there, goTo } = setUp({ count: 2_000, capacity: 100 });
    await goTo(0);
    order.length = 0;
    await goTo(1_500);
    expect(order[0]).toBe(1_500);
    expect([...there].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => 1_450 + index));
  });

  it('does not cut off a request at each step where neighbours lie far apart', async () => {
    const { stream, order, there, cutOff } = setUp({ count: 800, places: 40 });
    for (let step = 0; step < 200; step += 1) {
      stream.from(step);
      await Promise.resolve();
    }
    await vi.waitFor(() => expect(there.size).toBe(800));
    expect(cutOff()).toBeLessThanOrEqual(200 / 16 + 1);
    expect(order).toHaveLength(800);
  });
});
