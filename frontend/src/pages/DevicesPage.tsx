import { Alert, Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { listEdges } from '../api/devices';
import { mayManage, mayMonitor, useArchives } from '../app/archives';
import type { DevicesSearch } from '../app/router';
import { useServices } from '../app/services';
import { ArchivePicker } from '../ui/ArchivePicker';
import { Header } from '../ui/Header';
import { TroubleAlert } from '../ui/TroubleAlert';
import classes from './DevicesPage.module.css';
import { worstFirst } from './devices';
import { EdgeCard } from './EdgeCard';
import { EnrolEdge } from './EnrolEdge';

/** Edges speak each minute. */
export const REFRESH_DEVICES_MS = 30_000;

export function DevicesPage() {
  const { t } = useTranslation();
  const { client } = useServices();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as DevicesSearch;
  const archives = useArchives();
  const known = (archives.data ?? []).filter(mayMonitor);
  const chosen = known.find((item) => item.archive === search.archive) ?? known[0];
  const archive = chosen?.archive ?? null;
  const managed = chosen !== undefined && mayManage(chosen) ? chosen.archive : null;
  const query = useQuery({
    queryKey: ['devices', archive],
    queryFn: ({ signal }) => listEdges(client, archive ?? '', signal),
    enabled: archive !== null,
    refetchInterval: REFRESH_DEVICES_MS,
  });
  const edges = worstFirst(query.data?.edges ?? []);

  return (
    <div className={classes.page}>
      <Header>
        <ArchivePicker
          archives={known}
          value={archive}
          onChange={(value) => void navigate({ to: '/devices', search: { archive: value } })}
        />
      </Header>
      <main id="main" className={classes.main}>
        <div className={classes.top}>
          <h1 className={classes.title}>{t('devices.title')}</h1>
          <span role="status" className={classes.note}>
            {query.data !== undefined && t(query.isError ? 'list.stale' : 'list.live')}
          </span>
        </div>
        {archives.isError && <TroubleAlert error={archives.error} onRetry={() => void archives.refetch()} />}
        {archives.isSuccess && archive === null && <Alert color="yellow">{t('trouble.forbidden')}</Alert>}
        {query.isError && query.data === undefined && (
          <TroubleAlert error={query.error} onRetry={() => void query.refetch()} />
        )}
        {(archives.isPending || (archive !== null && query.isPending)) && <Loader aria-label={t('app.loading')} />}
        {managed !== null && <EnrolEdge key={managed} archive={managed} />}
        {query.data?.edges.length === 0 && <Alert color="gray">{t('devices.none')}</Alert>}
        {edges.map((edge) => (
          <EdgeCard key={edge.edge} edge={edge} now={query.data?.now ?? 0} managed={managed} />
        ))}
      </main>
    </div>
  );
}
