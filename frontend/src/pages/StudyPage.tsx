import { Alert, Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { readStudy, type SeriesItem, type StudyNames } from '../api/pacs';
import type { StudySearch } from '../app/router';
import { useServices } from '../app/services';
import { sortSeries } from '../dicom/sorting';
import { describeStudy, type StudyText } from '../dicom/study';
import { BackIcon, WarningIcon } from '../ui/icons';
import { ModalityBadges } from '../ui/ModalityBadges';
import { TroubleAlert } from '../ui/TroubleAlert';
import { useSexAndAge } from '../ui/useSexAndAge';
import { SeriesStrip } from './SeriesStrip';
import classes from './StudyPage.module.css';
import { warningKeys } from './warnings';

/** The heavy part, Cornerstone with its decoders, comes when there is something to draw. */
const SeriesViewer = lazy(() => import('../viewer/SeriesViewer').then((module) => ({ default: module.SeriesViewer })));

/** How often a study is looked at again: series appear while they are being sent. */
const REFRESH_MS = 15_000;

/** Series in reading order, by what QIDO-RS says of them. */
function inOrder(series: readonly SeriesItem[]): SeriesItem[] {
  const byDicom = new Map(series.map((item) => [item.dicom, item]));
  return sortSeries(series.map((item) => item.dicom)).flatMap((dicom) => byDicom.get(dicom) ?? []);
}

export function StudyPage() {
  const { t } = useTranslation();
  const { client } = useServices();
  const navigate = useNavigate();
  const { archive, study: uid, series: chosen } = useSearch({ strict: false }) as StudySearch;
  const names: StudyNames = useMemo(() => ({ archive, study: uid }), [archive, uid]);
  const query = useQuery({
    queryKey: ['study', archive, uid],
    queryFn: ({ signal }) => readStudy(client, names, signal),
    refetchInterval: REFRESH_MS,
  });
  const study = useMemo(() => (query.data === undefined ? null : describeStudy(query.data.dicom)), [query.data]);
  const series = useMemo(() => inOrder(query.data?.series ?? []), [query.data]);
  const current = series.find((item) => item.uid === chosen) ?? series[0];

  // The title names no patient: it shows in the history of shared machines.
  useEffect(() => {
    document.title = `${t('viewer.label')} · ${t('app.name')}`;
    return () => {
      document.title = t('app.name');
    };
  }, [t]);

  return (
    <div className={classes.page}>
      <StudyHeader study={study} />
      {query.data !== undefined && <Warnings warnings={query.data.warnings} conflicts={query.data.conflicts} />}
      <div className={classes.body}>
        {query.isPending && <Waiting />}
        {query.isError && query.data === undefined && (
          <div className={classes.message}>
            <TroubleAlert error={query.error} onRetry={() => void query.refetch()} />
          </div>
        )}
        {query.isSuccess && series.length === 0 && <p className={classes.message}>{t('study.noSeries')}</p>}
        {series.length > 0 && (
          <SeriesStrip
            names={names}
            series={series}
            current={current?.uid ?? null}
            onChoose={(next) =>
              void navigate({ to: '/study', search: { archive, study: uid, series: next }, replace: true })
            }
          />
        )}
        <main id="main" className={classes.main}>
          {current !== undefined && study !== null && (
            <Suspense fallback={<Waiting />}>
              <SeriesViewer names={names} series={current} study={study} />
            </Suspense>
          )}
        </main>
      </div>
    </div>
  );
}

function Waiting() {
  const { t } = useTranslation();
  return (
    <div className={classes.message} role="status">
      <Loader size="sm" color="gray" aria-label={t('app.loading')} />
    </div>
  );
}

function StudyHeader({ study }: { study: StudyText | null }) {
  const { t } = useTranslation();
  const sexAndAge = useSexAndAge();
  return (
    <header className={classes.header}>
      <Link to="/" className={classes.back} aria-label={t('study.back')}>
        <BackIcon size={22} />
      </Link>
      {study !== null && (
        <>
          <div className={classes.who}>
            <h1 className={classes.patient}>{study.patient || t('list.noName')}</h1>
            <div className={classes.facts}>
              <span>{study.patientId}</span>
              <span>{sexAndAge(study)}</span>
              {study.birthDate !== '' && (
                <span className={classes.wide}>{t('study.born', { date: study.birthDate })}</span>
              )}
            </div>
          </div>
          <div className={classes.studyFacts}>
            <ModalityBadges modalities={study.modalities} />
            {study.description !== '' && <span>{study.description}</span>}
            <span>
              {study.date} {study.time}
            </span>
            {study.accession !== '' && (
              <span className={classes.wide}>{t('study.accession', { value: study.accession })}</span>
            )}
          </div>
        </>
      )}
    </header>
  );
}

function Warnings({ warnings, conflicts }: { warnings: readonly string[]; conflicts: number }) {
  const { t } = useTranslation();
  const keys = warningKeys(warnings, conflicts);
  if (keys.length === 0) return null;
  return (
    <Alert
      role="alert"
      color="yellow"
      className={classes.alert}
      radius={0}
      py={8}
      icon={<WarningIcon />}
      title={t('study.warningTitle')}
    >
      <ul className={classes.warnings}>
        {keys.map(({ key, text }) => (
          <li key={`${key} ${text}`}>{t(`study.warning.${key}`, { text })}</li>
        ))}
      </ul>
    </Alert>
  );
}
