import { useTranslation } from 'react-i18next';
import type { StudyText } from '../dicom/study';

/** "Nam · 45 tuổi", "Female · 3 months", or the part of it that is known. */
export function useSexAndAge(): (study: Pick<StudyText, 'sex' | 'age'>) => string {
  const { t } = useTranslation();
  return ({ sex, age }) =>
    [sex === null ? '' : t(`sex.${sex}`), age === null ? '' : t(`age.${age.unit}`, { count: age.value })]
      .filter((part) => part !== '')
      .join(' · ');
}
