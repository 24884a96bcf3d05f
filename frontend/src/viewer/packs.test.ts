import { describe, expect, it, vi } from 'vitest';
import type { Pack } from '../api/pacs';
import type { Dataset } from '../dicom/dataset';
import type { Frame } from './frames';
import { PackStream } from './PackStream';
import { cut, type PackedFrame, packedFrames, segmentsFrom } from './packs';

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
    const wanted = packedFrames([pack('/1', ['a', 'b', 'c'], 10), pack('/2', ['d', 'e', 'f'], 10)], frames);
    const read = (start: number, of = wanted) => segmentsFrom(of, start).map((each) => each.map(({ index }) => index));
    expect(read(0)).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(read(1)).toEqual([[1, 2], [3, 4, 5], [0]]);
    expect(read(4)).toEqual([[4, 5], [0, 1, 2], [3]]);
    const without = wanted.filter(({ index }) => index !== 4);
    expect(read(4, without)).toEqual([
      [3, 5],
      [0, 1, 2],
    ]);
    expect(read(0, [])).toEqual([]);
  });

  it('leaves out a long stretch that is there already', () => {
    const frames = ['a', 'b', 'c'].map(single);
    const wanted = packedFrames([pack('/1', ['a', 'b', 'c'], 2 << 20)], frames).filter(({ index }) => index !== 1);
    expect(segmentsFrom(wanted, 0).map((each) => each.map(({ index }) => index))).toEqual([[0], [2]]);
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

describe('streaming packs', () => {
  function setUp(options: { fails?: boolean; whole?: boolean } = {}) {
    const uids = Array.from({ length: 40 }, (_, index) => `i${index}`);
    const frames = packedFrames(
      [pack('/1', uids.slice(0, 20), 300), pack('/2', uids.slice(20), 300)],
      uids.map(single),
    );
    const there = new Set<number>();
    const asked: string[] = [];
    const order: number[] = [];
    const stream = new PackStream({
      frames,
      has: (index) => there.has(index),
      fetch: async (url, init) => {
        const range = (init.headers as Record<string, string>).Range ?? '';
        asked.push(`${url} ${range}`);
        if (options.fails) throw new TypeError('away');
        const [from = 0, to = 0] = options.whole ? [0, 9000] : (range.match(/\d+/g) ?? []).map(Number);
        return new Response(bytesAt(from, to + 1), { status: options.whole ? 200 : 206 });
      },
      deliver: async ({ index, offset }, bytes) => {
        expect([...bytes]).toEqual([...bytesAt(offset, offset + 300)]);
        there.add(index);
        order.push(index);
      },
      onEnd: vi.fn(() => ended()),
    });
    let ended = () => {};
    const end = new Promise<void>((resolve) => {
      ended = resolve;
    });
    return { stream, asked, order, end };
  }

  it('reads a series with one request a pack', async () => {
    const { stream, asked, order, end } = setUp();
    stream.from(0);
    await end;
    expect(asked).toEqual(['/1 bytes=100-7049', '/2 bytes=100-7049']);
    expect(order).toEqual(Array.from({ length: 40 }, (_, index) => index));
    expect(stream.ended).toBe(true);
  });

  it('begins where the person is, and takes a store that knows no ranges', async () => {
    const { stream, order, end } = setUp({ whole: true });
    stream.from(25);
    await end;
    expect(order.slice(0, 15)).toEqual(Array.from({ length: 15 }, (_, index) => 25 + index));
    expect(new Set(order).size).toBe(40);
  });

  it('turns to where the person goes, and reads nothing twice', async () => {
    const { stream, asked, order, end } = setUp();
    stream.from(0);
    stream.from(1); // comes soon
    stream.from(30);
    await end;
    expect(asked[1]).toBe('/2 bytes=3600-7049');
    expect(order[0]).toBe(30);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, index) => index));
  });

  it('ends without a word when the packs cannot be had: who wants a slice asks for it', async () => {
    const { stream, order, end } = setUp({ fails: true });
    stream.from(0);
    await end;
    expect(order).toEqual([]);
    expect(stream.ended).toBe(true);
  });
});
