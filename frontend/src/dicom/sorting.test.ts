import { describe, expect, it } from 'vitest';
import { type Dataset, TAG, text } from './dataset';
import { hasImage, sortInstances, sortSeries } from './sorting';

interface Slice {
  uid: string;
  number?: number | string;
  z?: number;
  orientation?: number[];
}

const AXIAL = [1, 0, 0, 0, 1, 0];
const SAGITTAL = [0, 1, 0, 0, 0, -1];

function slice({ uid, number, z, orientation = AXIAL }: Slice): Dataset {
  return {
    [TAG.SOPInstanceUID]: { Value: [uid] },
    ...(number === undefined ? {} : { [TAG.InstanceNumber]: { Value: [number] } }),
    ...(z === undefined
      ? {}
      : {
          [TAG.ImagePositionPatient]: { Value: [0, 0, z] },
          [TAG.ImageOrientationPatient]: { Value: orientation },
        }),
  };
}

const order = (slices: Slice[]) => sortInstances(slices.map(slice)).map((item) => text(item, TAG.SOPInstanceUID));

describe('the order of slices', () => {
  it('follows the position, whatever the numbers in between say', () => {
    const slices = [
      { uid: 'c', number: 3, z: 20 },
      { uid: 'a', number: 1, z: 0 },
      { uid: 'b', number: 9, z: 10 },
      { uid: 'd', number: 10, z: 30 },
    ];
    expect(order(slices)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('runs the way the scanner numbered them', () => {
    const slices = [
      { uid: 'low', number: 3, z: -100 },
      { uid: 'middle', number: 2, z: -50 },
      { uid: 'high', number: 1, z: 0 },
    ];
    expect(order(slices)).toEqual(['high', 'middle', 'low']);
  });

  it('compares positions as numbers, also when they come as text', () => {
    const at = (uid: string, z: string): Dataset => ({
      ...slice({ uid }),
      [TAG.ImagePositionPatient]: { Value: ['0', '0', z] },
      [TAG.ImageOrientationPatient]: { Value: AXIAL },
    });
    const sorted = sortInstances([at('b', '9.5'), at('c', '10'), at('a', '-3')]);
    expect(sorted.map((item) => text(item, TAG.SOPInstanceUID))).toEqual(['a', 'b', 'c']);
  });

  it('goes by number when one slice has no position', () => {
    const slices = [
      { uid: 'b', number: 2, z: 0 },
      { uid: 'a', number: 1 },
      { uid: 'c', number: '10', z: 5 },
    ];
    expect(order(slices)).toEqual(['a', 'b', 'c']);
  });

  it('goes by number when orientations are mixed, as in a scout', () => {
    const slices = [
      { uid: 'b', number: 2, z: 0 },
      { uid: 'a', number: 1, z: 50, orientation: SAGITTAL },
    ];
    expect(order(slices)).toEqual(['a', 'b']);
  });

  it('goes by number when all lie in one place, as over time', () => {
    const slices = [
      { uid: 'b', number: 2, z: 7 },
      { uid: 'a', number: 1, z: 7 },
    ];
    expect(order(slices)).toEqual(['a', 'b']);
  });

  it('does not depend on the order of the answer', () => {
    const slices = [{ uid: 'b' }, { uid: 'a' }, { uid: 'c', number: 1 }];
    expect(order(slices)).toEqual(order([...slices].reverse()));
    expect(order(slices)).toEqual(['c', 'a', 'b']);
  });

  it('leaves the list it was given alone', () => {
    const given = [slice({ uid: 'b', number: 2 }), slice({ uid: 'a', number: 1 })];
    sortInstances(given);
    expect(text(given[0] ?? {}, TAG.SOPInstanceUID)).toBe('b');
  });
});

describe('series', () => {
  const series = (uid: string, modality: string, number?: number): Dataset => ({
    [TAG.SeriesInstanceUID]: { Value: [uid] },
    [TAG.Modality]: { Value: [modality] },
    ...(number === undefined ? {} : { [TAG.SeriesNumber]: { Value: [number] } }),
  });

  it('come by number, those without images last', () => {
    const sorted = sortSeries([
      series('sr', 'SR', 1),
      series('b', 'CT', 10),
      series('a', 'CT', 2),
      series('none', 'CT'),
    ]);
    expect(sorted.map((item) => text(item, TAG.SeriesInstanceUID))).toEqual(['a', 'b', 'none', 'sr']);
  });

  it.each([
    ['rows and columns', { [TAG.Rows]: { Value: [512] }, [TAG.Columns]: { Value: [512] } }, true],
    ['no rows', { [TAG.Columns]: { Value: [512] } }, false],
    ['a report', {}, false],
  ])('have images with %s: %#', (_case, dataset, expected) => {
    expect(hasImage(dataset)).toBe(expected);
  });
});
