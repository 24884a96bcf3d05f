import { useTranslation } from 'react-i18next';
import type { SeriesItem } from '../api/pacs';
import { number, numbers, TAG, text } from '../dicom/dataset';
import { edgeLetters } from '../dicom/geometry';
import type { StudyText } from '../dicom/study';
import { useSexAndAge } from '../ui/useSexAndAge';
import { type Frame, isLossy } from './frames';
import classes from './Overlay.module.css';
import type { StackState } from './StackController';

interface Props {
  frame: Frame;
  count: number;
  state: StackState;
  series: SeriesItem;
  study: StudyText;
}

/** At most two decimals, none where they say nothing. */
const short = (value: number): string => String(Math.round(value * 100) / 100);

/** Who and what is on the screen, in the four corners, and the directions of the patient at the edges. */
export function Overlay({ frame, count, state, series, study }: Props) {
  const { t } = useTranslation();
  const sexAndAge = useSexAndAge();
  const letters = edgeLetters(numbers(frame.dataset, TAG.ImageOrientationPatient));
  const thickness = number(frame.dataset, TAG.SliceThickness);
  const institution = text(frame.dataset, TAG.InstitutionName) ?? study.institution;
  return (
    <div className={classes.overlay}>
      <div className={classes.topLeft}>
        <strong>{study.patient || t('list.noName')}</strong>
        <span>{study.patientId}</span>
        <span className={classes.wide}>{sexAndAge(study)}</span>
      </div>
      <div className={classes.topRight}>
        <span className={classes.wide}>{institution}</span>
        <span>
          {study.date} {study.time}
        </span>
        <span className={classes.wide}>{study.description}</span>
        <span className={classes.wide}>{text(series.dicom, TAG.SeriesDescription)}</span>
      </div>
      <div className={classes.bottomLeft}>
        <span data-testid="slice">{t('viewer.slice', { index: (state.shown ?? 0) + 1, count })}</span>
        {thickness !== undefined && (
          <span className={classes.wide}>{t('viewer.thickness', { value: short(thickness) })}</span>
        )}
        {isLossy(frame.dataset) && (
          <span className={classes.mark} title={t('viewer.lossyHint')}>
            {t('viewer.lossy')}
          </span>
        )}
      </div>
      <div className={classes.bottomRight}>
        {state.zoom !== null && (
          <span className={classes.wide}>{t('viewer.zoom', { percent: Math.round(state.zoom * 100) })}</span>
        )}
        {state.window !== null && (
          <span data-testid="window">
            {t('viewer.windowLevel', { width: short(state.window.width), level: short(state.window.level) })}
          </span>
        )}
        {state.withoutWebGL && <span className={classes.wide}>{t('viewer.slow')}</span>}
        <span className={classes.phone}>{t('viewer.notDiagnostic')}</span>
      </div>
      {letters !== null && (
        <>
          <span className={classes.left}>{letters.left}</span>
          <span className={classes.right}>{letters.right}</span>
          <span className={classes.top}>{letters.top}</span>
          <span className={classes.bottom}>{letters.bottom}</span>
        </>
      )}
    </div>
  );
}
