import { describe, expect, it } from 'vitest';
import type { StudyPage } from '../api/pacs';
import { warningKeys } from './warnings';
import { mergeNewest, unique } from './worklist';

const page = (uids: string, next: string | null = null): StudyPage => ({
  studies: [...uids].map((uid) => ({ uid, dicom: {} })),
  next,
});
const shown = (pages: StudyPage[]) =>
  unique(pages)
    .map(({ uid }) => uid)
    .join('');

describe('the list, refreshed with the newest page', () => {
  it('shows new studies on top and loses none', () => {
    const merged = mergeNewest([page('cba', '2'), page('zyx', '3')], page('edc', 'n'));
    expect(shown(merged)).toBe('edcbazyx');
    expect(merged.map(({ next }) => next)).toEqual(['2', '3']);
  });

  it('drops a study that is gone from the newest page', () => {
    expect(shown(mergeNewest([page('cba', '2')], page('ca9', 'n')))).toBe('ca9');
  });

  it('moves a study that came up, without showing it twice', () => {
    expect(shown(mergeNewest([page('cba', '2'), page('zyx')], page('ycb', 'n')))).toBe('ycbazx');
  });

  it('is the newest page alone when that is all there is', () => {
    expect(mergeNewest([page('cba', '2'), page('zyx')], page('c'))).toEqual([page('c')]);
  });

  it('starts anew when more has come than a page holds', () => {
    const newest = page('onm', 'n');
    expect(mergeNewest([page('cba', '2'), page('zyx')], newest)).toEqual([newest]);
  });
});

describe('the warnings of a study', () => {
  it('are worded here when they are known, and passed on when not', () => {
    expect(warningKeys(['two PatientIDs in one study', 'something new'], 0)).toEqual([
      { key: 'patient_id_differs', text: 'two PatientIDs in one study' },
      { key: 'other', text: 'something new' },
    ]);
  });

  it('say once that there are conflicts', () => {
    expect(warningKeys([], 3)).toEqual([{ key: 'conflicts', text: '' }]);
    expect(warningKeys([], 0)).toEqual([]);
  });
});
