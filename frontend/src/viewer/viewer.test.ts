import { describe, expect, it } from 'vitest';
import { type Dataset, TAG } from '../dicom/dataset';
import { framesOf, isLossy } from './frames';
import { cacheBytes } from './memory';
import { nextToLoad, spanAround } from './prefetch';
import { expandSegments, firstPart, paletteEntries } from './prepare';
import { sliceTyped } from './typed';
import { WheelSteps } from './wheel';
import { CT_PRESETS, sameRange, toRange, toWindow } from './windows';

const image = (uid: string, frames?: number | string): Dataset => ({
  [TAG.SOPInstanceUID]: { Value: [uid] },
  [TAG.Rows]: { Value: [4] },
  [TAG.Columns]: { Value: [4] },
  ...(frames === undefined ? {} : { [TAG.NumberOfFrames]: { Value: [frames] } }),
});

describe('the frames of a series', () => {
  const names = { archive: 'demo', study: '1.2' };

  it('are addressed one by one, from 1', () => {
    const frames = framesOf(names, '1.3', [image('1.4', '3')], 'https://pacs.example.org');
    const root = 'wadors:https://pacs.example.org/dicomweb/demo/studies/1.2/series/1.3/instances/1.4/frames';
    expect(frames.map(({ imageId }) => imageId)).toEqual([`${root}/1`, `${root}/2`, `${root}/3`]);
  });

  it('leave out instances without pixels', () => {
    expect(framesOf(names, '1.3', [{ [TAG.SOPInstanceUID]: { Value: ['1.4'] } }], '')).toEqual([]);
  });

  it.each([undefined, 0, 'many'])('count one when the number of frames is %s', (frames) => {
    expect(framesOf(names, '1.3', [image('1.4', frames)], '')).toHaveLength(1);
  });
});

describe('lossy compression', () => {
  it.each<[string, Dataset, boolean]>([
    ['said by the image', { [TAG.LossyImageCompression]: { Value: ['01'] } }, true],
    ['denied by the image', { [TAG.LossyImageCompression]: { Value: ['00'] } }, false],
    ['JPEG baseline', { [TAG.AvailableTransferSyntaxUID]: { Value: ['1.2.840.10008.1.2.4.50'] } }, true],
    ['JPEG-LS lossless', { [TAG.AvailableTransferSyntaxUID]: { Value: ['1.2.840.10008.1.2.4.80'] } }, false],
    ['nothing known', {}, false],
  ])('%s', (_case, dataset, lossy) => {
    expect(isLossy(dataset)).toBe(lossy);
  });
});

describe('windows', () => {
  it.each(Object.entries(CT_PRESETS))('of the preset %s survive the way to a range and back', (_name, preset) => {
    expect(toWindow(toRange(preset))).toEqual(preset);
  });

  it('follow the linear function of PS3.3 C.11.2.1.2', () => {
    expect(toRange({ width: 4096, level: 2048 })).toEqual({ lower: 0, upper: 4095 });
  });

  it('are the same up to rounding', () => {
    const range = { lower: 0.1 + 0.2, upper: 1 };
    expect(sameRange(range, { lower: 0.3, upper: 1 })).toBe(true);
    expect(sameRange(null, range)).toBe(false);
  });
});

describe('prefetching', () => {
  const state = { current: 5, span: { first: 0, last: 9 } };

  it('goes outwards from the slice on the screen, ahead first', () => {
    const taken = new Set<number>();
    const order: number[] = [];
    const next = () => nextToLoad({ ...state, taken: (index) => taken.has(index) });
    for (let index = next(); index !== null; index = next()) {
      order.push(index);
      taken.add(index);
    }
    expect(order).toEqual([5, 6, 4, 7, 3, 8, 2, 9, 1, 0]);
  });

  it('stops at the end of what the memory holds', () => {
    const taken = (index: number) => [4, 5, 6].includes(index);
    expect(nextToLoad({ current: 5, span: { first: 4, last: 6 }, taken })).toBeNull();
  });

  it.each([
    ['in the middle', 50, 10, { first: 45, last: 54 }],
    ['at the beginning', 2, 10, { first: 0, last: 9 }],
    ['at the end', 99, 10, { first: 90, last: 99 }],
    ['with room for all', 50, 1000, { first: 0, last: 99 }],
    ['with room for none', 50, 0, { first: 50, last: 50 }],
  ])('keeps as much as the memory holds around a slice %s', (_case, index, capacity, span) => {
    expect(spanAround(index, 100, capacity)).toEqual(span);
  });
});

describe('the memory for pictures', () => {
  const megabytes = (coarse: boolean, deviceMemory?: number) => cacheBytes(coarse, deviceMemory) / 1024 / 1024;

  it('is a share of that of the device, if the browser tells it', () => {
    expect([megabytes(true, 1), megabytes(true, 2), megabytes(true, 4), megabytes(true, 8)]).toEqual([
      64, 128, 256, 256,
    ]);
    expect([megabytes(false, 2), megabytes(false, 8)]).toEqual([256, 1024]);
    expect([megabytes(true), megabytes(false)]).toEqual([256, 1024]);
  });

  it('holds a mammogram on the smallest phone', () => {
    expect(megabytes(true, 0.25)).toBe(64);
  });
});

describe('a typed number', () => {
  it.each([
    ['1', 0],
    [' 250 ', 249],
    ['0', 0],
    ['501', 499],
    ['999999999', 499],
    ['', null],
    [null, null],
    ['12a', null],
    ['-3', null],
    ['1.5', null],
    ['99999999999999999999', null],
  ])('%j names slice %j of 500', (typed, index) => {
    expect(sliceTyped(typed, 500)).toBe(index);
  });
});

describe('the wheel', () => {
  it('moves one slice a notch of a mouse', () => {
    const wheel = new WheelSteps();
    expect([120, 120, -120].map((deltaY) => wheel.steps({ deltaY, deltaMode: 0 }))).toEqual([1, 1, -1]);
    expect(wheel.steps({ deltaY: 3, deltaMode: 1 })).toBe(1);
  });

  it('adds up the small moves of a trackpad', () => {
    const wheel = new WheelSteps();
    expect([15, 15, 15, 15, 15, 15].map((deltaY) => wheel.steps({ deltaY, deltaMode: 0 }))).toEqual([0, 0, 1, 0, 0, 1]);
  });

  it('forgets the rest when the direction changes', () => {
    const wheel = new WheelSteps();
    expect([35, -35, -10].map((deltaY) => wheel.steps({ deltaY, deltaMode: 0 }))).toEqual([0, 0, -1]);
  });
});

describe('palettes', () => {
  it('of 16 bits are little endian words', () => {
    expect(paletteEntries(Uint8Array.of(0x34, 0x12, 0xff, 0x00), 2)).toEqual([0x1234, 0xff]);
  });

  it('of as many bytes as entries are bytes', () => {
    expect(paletteEntries(Uint8Array.of(1, 2, 3), 3)).toEqual([1, 2, 3]);
  });

  it('in segments list values, run evenly and repeat (PS3.3 C.7.9.2)', () => {
    expect(expandSegments([0, 2, 10, 20, 1, 4, 40])).toEqual([10, 20, 25, 30, 35, 40]);
    expect(expandSegments([0, 2, 10, 20, 2, 1, 0, 0, 0, 1, 7])).toEqual([10, 20, 10, 20, 7]);
  });

  it.each([[[]], [[0]], [[1, 3]], [[9, 1, 1]], [[2, 1, 0, 0]]])(
    'in broken segments %j end without a hang',
    (segments) => {
      expect(expandSegments(segments)).toEqual([]);
    },
  );

  it('are found inside a multipart answer, byte for byte', () => {
    const bytes = Uint8Array.of(0, 13, 10, 45, 45, 255);
    const text = new TextEncoder();
    const message = Uint8Array.from([
      ...text.encode('--b\r\nContent-Type: application/octet-stream\r\n\r\n'),
      ...bytes,
      ...text.encode('\r\n--b--\r\n'),
    ]);
    expect(firstPart(message, 'multipart/related; boundary="b"; type="application/octet-stream"')).toEqual(bytes);
    expect(firstPart(bytes, 'application/octet-stream')).toEqual(bytes);
  });
});
