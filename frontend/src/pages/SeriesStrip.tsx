import { UnstyledButton } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { type SeriesItem, type StudyNames, seriesThumbnailPath } from '../api/pacs';
import { TAG, text } from '../dicom/dataset';
import { isImageModality } from '../dicom/sorting';
import { Thumbnail } from '../ui/Thumbnail';
import classes from './SeriesStrip.module.css';

interface Props {
  names: StudyNames;
  series: readonly SeriesItem[];
  current: string | null;
  onChoose: (series: string) => void;
}

/** Beside the picture; along the bottom on a phone. */
export function SeriesStrip({ names, series, current, onChoose }: Props) {
  const { t } = useTranslation();
  return (
    <nav className={classes.strip} aria-label={t('study.series')}>
      <ul className={classes.list}>
        {series.map((item) => {
          const number = text(item.dicom, TAG.SeriesNumber);
          const label = text(item.dicom, TAG.SeriesDescription) ?? (number && t('study.seriesNumber', { number }));
          return (
            <li key={item.uid}>
              <UnstyledButton
                className={classes.item}
                aria-current={item.uid === current ? 'true' : undefined}
                onClick={() => onChoose(item.uid)}
                data-series={item.uid}
              >
                <Thumbnail
                  path={seriesThumbnailPath(names, item.uid)}
                  version={`${item.instances}`}
                  size={68}
                  kind={isImageModality(item.modality) ? 'image' : 'document'}
                />
                <span className={classes.text}>
                  <span className={classes.label}>{label}</span>
                  <span className={classes.facts}>
                    {item.modality} · {t('study.images', { count: item.instances })}
                  </span>
                </span>
              </UnstyledButton>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}
