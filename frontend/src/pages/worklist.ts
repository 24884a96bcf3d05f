import { type InfiniteData, keepPreviousData, useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { type StudyItem, type StudyPage, searchStudies } from '../api/pacs';
import { type SearchForm, type SearchRequest, toRequest } from '../api/search';
import { useServices } from '../app/services';
import { toDicomDate } from '../dicom/dates';

/** How often the newest page is asked for again. */
export const REFRESH_MS = 15_000;

type Pages = InfiniteData<StudyPage, string | null>;

/**
 * The pages on the screen with the newest page put in front. What the old first page held below the last study that both
 * share was pushed out by new ones and stays; what it held above it is gone (deleted, or changed place). When the two share
 * nothing, more has come than a page holds, and the list starts anew.
 */
export function mergeNewest(pages: readonly StudyPage[], newest: StudyPage): StudyPage[] {
  const [first, ...rest] = pages;
  if (first === undefined || newest.next === null) return [newest];
  const fresh = new Set(newest.studies.map(({ uid }) => uid));
  const lastShared = first.studies.findLastIndex(({ uid }) => fresh.has(uid));
  if (lastShared < 0) return [newest];
  const pushedOut = first.studies.slice(lastShared + 1);
  const head = { studies: [...newest.studies, ...pushedOut], next: first.next };
  return [head, ...rest.map((page) => ({ ...page, studies: page.studies.filter(({ uid }) => !fresh.has(uid)) }))];
}

export function unique(pages: readonly StudyPage[]): StudyItem[] {
  return [...new Map(pages.flatMap((page) => page.studies).map((study) => [study.uid, study])).values()];
}

export function useWorklist(archive: string | null, form: SearchForm) {
  const { client } = useServices();
  const queries = useQueryClient();
  const [stale, setStale] = useState(false);
  const day = toDicomDate(new Date());
  // biome-ignore lint/correctness/useExhaustiveDependencies: `day` stands for the clock, so that "today" follows midnight.
  const request: SearchRequest = useMemo(() => toRequest(form, new Date()), [form, day]);
  const queryKey = useMemo(() => ['studies', archive, request], [archive, request]);

  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) =>
      searchStudies(client, archive ?? '', pageParam === null ? request : { ...request, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    enabled: archive !== null,
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });

  const ready = query.isSuccess && !query.isPlaceholderData;
  useEffect(() => {
    if (archive === null || !ready) return;
    const controller = new AbortController();
    const refresh = async () => {
      if (document.hidden) return;
      try {
        const newest = await searchStudies(client, archive, request, controller.signal);
        queries.setQueryData<Pages>(queryKey, (old) => {
          if (old === undefined) return old;
          const pages = mergeNewest(old.pages, newest);
          return { pages, pageParams: old.pageParams.slice(0, pages.length) };
        });
        setStale(false);
      } catch {
        if (!controller.signal.aborted) setStale(true);
      }
    };
    const age = Date.now() - (queries.getQueryState(queryKey)?.dataUpdatedAt ?? 0);
    if (age > REFRESH_MS) void refresh();
    const timer = window.setInterval(() => void refresh(), REFRESH_MS);
    const onShow = () => void refresh();
    document.addEventListener('visibilitychange', onShow);
    return () => {
      controller.abort();
      window.clearInterval(timer);
      document.removeEventListener('visibilitychange', onShow);
    };
  }, [archive, client, queries, queryKey, request, ready]);

  const studies = useMemo(() => unique(query.data?.pages ?? []), [query.data]);
  return { query, studies, stale };
}
