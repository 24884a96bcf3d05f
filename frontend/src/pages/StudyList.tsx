import { Skeleton } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { type StudyItem, studyThumbnailPath } from '../api/pacs';
import { describeStudy, type StudyText } from '../dicom/study';
import { ModalityBadges } from '../ui/ModalityBadges';
import { Thumbnail } from '../ui/Thumbnail';
import { useSexAndAge } from '../ui/useSexAndAge';
import classes from './StudyList.module.css';

interface Props {
  archive: string;
  studies: StudyItem[];
}

function StudyLink({ archive, uid, study }: { archive: string; uid: string; study: StudyText }) {
  const { t } = useTranslation();
  const patient = study.patient || study.patientId || t('list.noName');
  return (
    <Link
      to="/study"
      search={{ archive, study: uid }}
      className={classes.link}
      aria-label={t('list.open', { patient })}
      data-study={uid}
    >
      {study.patient || t('list.noName')}
    </Link>
  );
}

export function StudyTable({ archive, studies }: Props) {
  const { t } = useTranslation();
  const sexAndAge = useSexAndAge();
  return (
    <div className={classes.frame}>
      <table className={classes.table}>
        <caption className="visually-hidden">{t('list.title')}</caption>
        <thead>
          <tr>
            <th scope="col" className={classes.picture}>
              <span className="visually-hidden">{t('list.column.image')}</span>
            </th>
            <th scope="col">{t('list.column.patient')}</th>
            <th scope="col">{t('list.column.id')}</th>
            <th scope="col">{t('list.column.sexAge')}</th>
            <th scope="col">{t('list.column.date')}</th>
            <th scope="col">{t('list.column.modality')}</th>
            <th scope="col">{t('list.column.description')}</th>
            <th scope="col" className={classes.accession}>
              {t('list.column.accession')}
            </th>
            <th scope="col" className={classes.number}>
              {t('list.column.images')}
            </th>
          </tr>
        </thead>
        <tbody>
          {studies.map(({ uid, dicom }) => {
            const study = describeStudy(dicom);
            return (
              <tr key={uid}>
                <td className={classes.picture}>
                  <Thumbnail path={studyThumbnailPath({ archive, study: uid })} version={`${study.images}`} size={44} />
                </td>
                <td className={classes.patient}>
                  <StudyLink archive={archive} uid={uid} study={study} />
                </td>
                <td className={classes.code}>{study.patientId}</td>
                <td className={classes.keep}>{sexAndAge(study)}</td>
                <td className={classes.keep}>
                  {study.date}
                  <span className={classes.quiet}>{study.time}</span>
                </td>
                <td>
                  <ModalityBadges modalities={study.modalities} />
                </td>
                <td className={classes.description}>
                  {study.description || <span className={classes.quiet}>{t('list.noDescription')}</span>}
                </td>
                <td className={`${classes.code} ${classes.accession}`}>{study.accession}</td>
                <td className={classes.number}>{study.images}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** The same on a phone or a tablet held upright. */
export function StudyCards({ archive, studies }: Props) {
  const { t } = useTranslation();
  const sexAndAge = useSexAndAge();
  return (
    <ul className={classes.cards}>
      {studies.map(({ uid, dicom }) => {
        const study = describeStudy(dicom);
        return (
          <li key={uid} className={classes.card}>
            <Thumbnail path={studyThumbnailPath({ archive, study: uid })} version={`${study.images}`} size={72} />
            <div className={classes.cardText}>
              <div className={classes.cardName}>
                <StudyLink archive={archive} uid={uid} study={study} />
              </div>
              <div className={classes.cardLine}>{[study.patientId, sexAndAge(study)].filter(Boolean).join(' · ')}</div>
              <div className={classes.cardDescription}>{study.description || t('list.noDescription')}</div>
              <div className={classes.cardLine}>
                <ModalityBadges modalities={study.modalities} />
                <span>{study.date}</span>
                <span className={classes.cardImages}>{t('list.images', { count: study.images })}</span>
              </div>
            </div>
          </li>
        );
      })}
    </ul>
  );
}

export function WaitingRows() {
  const { t } = useTranslation();
  return (
    <div role="status" className={classes.frame}>
      <span className="visually-hidden">{t('app.loading')}</span>
      {Array.from({ length: 8 }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike.
        <div key={row} className={classes.waitingRow}>
          <Skeleton width={44} height={44} />
          <Skeleton height={14} style={{ flex: 1 }} />
        </div>
      ))}
    </div>
  );
}
