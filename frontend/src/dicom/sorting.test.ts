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

  describe('of one place at many times', () => {
    /** Volumes of slices at 0, 10 and 20 mm; `z` runs as the scanner's numbers do. */
    function volumes(
      numberOf: (place: number, time: number) => number | undefined,
      extra = (_: number): Dataset => ({}),
    ) {
      const slices: Dataset[] = [];
      for (const time of [0, 1, 2]) {
        for (const place of [0, 1, 2]) {
          const instanceNumber = numberOf(place, time);
          const named = instanceNumber === undefined ? {} : { number: instanceNumber };
          slices.push({ ...slice({ uid: `${place}${time}`, z: 10 * place, ...named }), ...extra(time) });
        }
      }
      return slices;
    }
    const uids = (slices: Dataset[]) => sortInstances(slices).map((item) => text(item, TAG.SOPInstanceUID));
    const upwards = ['00', '01', '02', '10', '11', '12', '20', '21', '22'];
    const downwards = ['20', '21', '22', '10', '11', '12', '00', '01', '02'];

    it.each([
      ['volume by volume, upwards', (place: number, time: number) => 1 + 3 * time + place, upwards],
      ['volume by volume, downwards', (place: number, time: number) => 1 + 3 * time + 2 - place, downwards],
      ['place by place, upwards', (place: number, time: number) => 1 + 3 * place + time, upwards],
      ['place by place, downwards', (place: number, time: number) => 1 + 3 * (2 - place) + time, downwards],
    ])('goes by place, and there forwards in time, when numbered %s', (_case, numberOf, expected) => {
      expect(uids(volumes(numberOf))).toEqual(expected);
      expect(uids(volumes(numberOf).reverse())).toEqual(expected);
    });

    it.each<[string, (time: number) => Dataset]>([
      ['its temporal position', (time) => ({ [TAG.TemporalPositionIdentifier]: { Value: [time + 1] } })],
      ['its acquisition', (time) => ({ [TAG.AcquisitionNumber]: { Value: [time + 1] } })],
      ['its trigger', (time) => ({ [TAG.TriggerTime]: { Value: [String(350.5 * time)] } })],
      ['the clock', (time) => ({ [TAG.AcquisitionTime]: { Value: [`0912${10 + time}.250000`] } })],
    ])('goes by %s when numbers begin anew in each volume', (_case, extra) => {
      const slices = volumes((place) => place + 1, extra).map((each) => {
        // UIDs that run against the time.
        const [place = '', time = ''] = text(each, TAG.SOPInstanceUID) ?? '';
        return { ...each, [TAG.SOPInstanceUID]: { Value: [`${place}.${9 - Number(time)}`] } };
      });
      expect(uids(slices)).toEqual(['0.9', '0.8', '0.7', '1.9', '1.8', '1.7', '2.9', '2.8', '2.7']);
    });

    it('takes places for one that differ in the last digit only', () => {
      const slices = [
        { uid: 'a', number: 1, z: 0 },
        { uid: 'b', number: 2, z: 10.0004 },
        { uid: 'c', number: 3, z: 0.0003 },
        { uid: 'd', number: 4, z: 9.9998 },
        { uid: 'e', number: 5, z: -0.0002 },
      ];
      expect(order(slices)).toEqual(['a', 'c', 'e', 'b', 'd']);
    });
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
