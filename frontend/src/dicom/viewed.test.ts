import { describe, expect, it } from 'vitest';
import { type Dataset, TAG } from './dataset';
import { sortInstances } from './sorting';
import { Viewed } from './viewed';

const instance = (number: number): Dataset => ({
  [TAG.SOPInstanceUID]: { vr: 'UI', Value: [`1.2.${number}`] },
  [TAG.PatientName]: { vr: 'PN', Value: [{ Alphabetic: 'Thử^Nghiệm' }] },
  [TAG.PatientID]: { vr: 'LO', Value: ['TEST-1'] },
  [TAG.InstanceNumber]: { vr: 'IS', Value: [number] },
  [TAG.Rows]: { vr: 'US', Value: [64] },
  [TAG.Columns]: { vr: 'US', Value: [64] },
  [TAG.ImagePositionPatient]: { vr: 'DS', Value: [0, 0, number] },
  [TAG.ImageOrientationPatient]: { vr: 'DS', Value: [1, 0, 0, 0, 1, 0] },
  '00280030': { vr: 'DS', Value: [0.5, 0.5] },
  '00281050': { vr: 'DS', Value: [40] },
  '00281053': { vr: 'DS', Value: [1] },
  '00091010': { vr: 'UN', InlineBinary: 'AAAA' },
  '00081140': { vr: 'SQ', Value: [{ '00081155': { vr: 'UI', Value: ['1.3'] } }] },
});

describe('what is kept of a data set', () => {
  it('is position, spacing, windows and pixel format, and nothing of the patient or the maker', () => {
    const kept = new Viewed().of(instance(1));
    for (const tag of [TAG.Rows, TAG.ImagePositionPatient, '00280030', '00281050', '00281053']) {
      expect(kept[tag]).toEqual(instance(1)[tag]);
    }
    expect(Object.keys(kept)).toHaveLength(9);
    expect(JSON.stringify(kept)).not.toContain('Nghiệm');
  });

  it('is there once where the one before has the same', () => {
    const viewed = new Viewed();
    const [one, other] = [viewed.of(instance(1)), viewed.of(instance(2))];
    expect(other[TAG.Rows]).toBe(one[TAG.Rows]);
    expect(other[TAG.ImageOrientationPatient]).toBe(one[TAG.ImageOrientationPatient]);
    expect(other[TAG.ImagePositionPatient]).toEqual({ vr: 'DS', Value: [0, 0, 2] });
    expect(other).toEqual(new Viewed().of(instance(2)));
  });

  it('gives the same order of slices', () => {
    const sets = [5, 3, 9, 1].map(instance);
    const viewed = new Viewed();
    const uids = (all: Dataset[]) => sortInstances(all).map((item) => item[TAG.SOPInstanceUID]?.Value?.[0]);
    expect(uids(sets.map((each) => viewed.of(each)))).toEqual(uids(sets));
  });

  it('holds of each frame its plane and window', () => {
    const plane = { '00209113': { vr: 'SQ', Value: [{ [TAG.ImagePositionPatient]: { vr: 'DS', Value: [0, 0, 1] } }] } };
    const content = { '00209111': { vr: 'SQ', Value: [{ '00209157': { vr: 'UL', Value: [1, 1] } }] } };
    const frames = { vr: 'SQ', Value: [{ ...plane, ...content }, { ...plane }, null] };
    const kept = new Viewed().of({ '52009230': frames, '52009229': { vr: 'SQ' } });
    expect(kept['52009230']?.Value).toEqual([plane, plane, {}]);
    expect(kept['52009229']?.Value).toEqual([]);
  });
});
