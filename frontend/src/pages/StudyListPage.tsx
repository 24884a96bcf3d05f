import { Alert, Button, Loader, Text } from '@mantine/core';
import { useDebouncedValue, useMediaQuery } from '@mantine/hooks';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { EMPTY_FORM, isNarrowed, type SearchForm } from '../api/search';
import { useArchives } from '../app/archives';
import type { ListSearch } from '../app/router';
import { useServices } from '../app/services';
import { ArchivePicker } from '../ui/ArchivePicker';
import { Header } from '../ui/Header';
import { InboxIcon, SearchIcon } from '../ui/icons';
import { TroubleAlert } from '../ui/TroubleAlert';
import { SearchBar } from './SearchBar';
import { StudyCards, StudyTable, WaitingRows } from './StudyList';
import classes from './StudyListPage.module.css';
import { useWorklist } from './worklist';

const TYPING_MS = 300;

export function StudyListPage() {
  const { t } = useTranslation();
  const { memory } = useServices();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as ListSearch;
  const narrow = useMediaQuery('(max-width: 62em)', undefined, { getInitialValueInEffect: false });
  const archives = useArchives();

  const [text, setText] = useState(memory.searchText);
  const [range, setRange] = useState({ from: '', to: '' });
  const [settledText] = useDebouncedValue(text, TYPING_MS);
  const [settledRange] = useDebouncedValue(range, TYPING_MS);
  useEffect(() => {
    memory.searchText = settledText;
  }, [memory, settledText]);

  const place = { preset: search.days ?? ('any' as const), modality: search.modality ?? null };
  const form: SearchForm = { ...place, text, ...range };
  const settled: SearchForm = useMemo(
    () => ({ preset: search.days ?? 'any', modality: search.modality ?? null, text: settledText, ...settledRange }),
    [search.days, search.modality, settledText, settledRange],
  );
  const change = (next: SearchForm) => {
    setText(next.text);
    setRange({ from: next.from, to: next.to });
    if (next.preset === place.preset && next.modality === place.modality) return;
    void navigate({
      to: '/',
      replace: true,
      search: {
        ...(search.archive === undefined ? {} : { archive: search.archive }),
        ...(next.preset === 'any' ? {} : { days: next.preset }),
        ...(next.modality === null ? {} : { modality: next.modality }),
      },
    });
  };

  const known = archives.data ?? [];
  const archive = known.find((item) => item.archive === search.archive)?.archive ?? known[0]?.archive ?? null;
  const { query, studies, stale } = useWorklist(archive, settled);
  const List = narrow ? StudyCards : StudyTable;

  return (
    <div className={classes.page}>
      <Header>
        <ArchivePicker
          archives={known}
          value={archive}
          onChange={(value) => void navigate({ to: '/', search: { ...search, archive: value } })}
        />
      </Header>
      <main id="main" className={classes.main}>
        <h1 className="visually-hidden">{t('list.title')}</h1>
        <SearchBar form={form} onChange={change}>
          <span role="status" className={classes.count}>
            {query.isSuccess && t('list.shown', { count: studies.length })}
            {query.hasNextPage && '+'}
            <span className={stale ? classes.stale : classes.live} title={t(stale ? 'list.stale' : 'list.live')} />
          </span>
        </SearchBar>
        {stale && (
          <Alert color="yellow" role="status" py={6} mb="xs">
            {t('list.stale')}
          </Alert>
        )}
        {archives.isError && <TroubleAlert error={archives.error} onRetry={() => void archives.refetch()} />}
        {archives.isSuccess && archive === null && <Alert color="yellow">{t('list.noArchive')}</Alert>}
        {query.isError && studies.length === 0 && (
          <TroubleAlert error={query.error} onRetry={() => void query.refetch()} />
        )}
        {(archives.isPending || (archive !== null && query.isPending)) && <WaitingRows />}
        {query.isSuccess && studies.length === 0 && <Nothing form={settled} onClear={() => change(EMPTY_FORM)} />}
        {archive !== null && studies.length > 0 && (
          <div aria-busy={query.isPlaceholderData} className={query.isPlaceholderData ? classes.waiting : undefined}>
            <List archive={archive} studies={studies} />
          </div>
        )}
        {query.isFetchNextPageError && <TroubleAlert error={query.error} onRetry={() => void query.fetchNextPage()} />}
        <div className={classes.foot}>
          {query.isFetchingNextPage && <Loader size="sm" aria-label={t('app.loading')} />}
          {query.hasNextPage && !query.isFetchingNextPage && (
            <Button variant="default" onClick={() => void query.fetchNextPage()}>
              {t('list.more')}
            </Button>
          )}
        </div>
      </main>
    </div>
  );
}

function Nothing({ form, onClear }: { form: SearchForm; onClear: () => void }) {
  const { t } = useTranslation();
  const narrowed = isNarrowed(form);
  return (
    <div className={classes.nothing}>
      {narrowed ? <SearchIcon size={44} /> : <InboxIcon size={44} />}
      <Text fw={600} size="lg">
        {t(narrowed ? 'list.nothingTitle' : 'list.emptyTitle')}
      </Text>
      <Text maw={420}>{t(narrowed ? 'list.nothingText' : 'list.emptyText')}</Text>
      {narrowed && (
        <Button mt="xs" variant="default" onClick={onClear}>
          {t('list.clear')}
        </Button>
      )}
    </div>
  );
}
