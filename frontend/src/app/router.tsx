import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type RouterHistory,
  redirect,
} from '@tanstack/react-router';
import { MODALITIES, PRESETS, type Preset } from '../api/search';
import type { SessionStore } from '../api/session';
import { LoginPage } from '../pages/LoginPage';
import { StudyListPage } from '../pages/StudyListPage';
import { Root } from './Root';

/** Of the list, the address keeps what names no patient; the search text never goes there. */
export interface ListSearch {
  archive?: string;
  days?: Preset;
  modality?: string;
}

/** UIDs travel in the query: servers take a path with dots in it for a file. */
export interface StudySearch {
  archive: string;
  study: string;
  series?: string;
}

export interface DevicesSearch {
  archive?: string;
}

export interface LoginSearch {
  next?: string;
}

const some = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** Only a place inside the dashboard: anything else might lead a person who has just logged in to a stranger's page. */
export function insidePath(value: unknown): string | undefined {
  const path = some(value);
  return path !== undefined && /^\/(?![/\\])/.test(path) ? path : undefined;
}

export function parseListSearch(raw: Record<string, unknown>): ListSearch {
  const archive = some(raw.archive);
  const days = PRESETS.find((preset) => preset === raw.days);
  const modality = MODALITIES.find((known) => known === raw.modality);
  return {
    ...(archive === undefined ? {} : { archive }),
    ...(days === undefined || days === 'any' ? {} : { days }),
    ...(modality === undefined ? {} : { modality }),
  };
}

export function parseStudySearch(raw: Record<string, unknown>): StudySearch {
  const series = some(raw.series);
  return {
    archive: some(raw.archive) ?? '',
    study: some(raw.study) ?? '',
    ...(series === undefined ? {} : { series }),
  };
}

export function createAppRouter(store: SessionStore, history?: RouterHistory) {
  const root = createRootRoute({ component: Root });
  const guard = ({ location }: { location: { href: string } }) => {
    if (store.session === null) throw redirect({ to: '/login', search: { next: location.href } });
  };
  const login = createRoute({
    getParentRoute: () => root,
    path: '/login',
    validateSearch: (raw: Record<string, unknown>): LoginSearch => {
      const next = insidePath(raw.next);
      return next === undefined ? {} : { next };
    },
    component: LoginPage,
  });
  const list = createRoute({
    getParentRoute: () => root,
    path: '/',
    validateSearch: parseListSearch,
    beforeLoad: guard,
    component: StudyListPage,
  });
  const study = createRoute({
    getParentRoute: () => root,
    path: '/study',
    validateSearch: parseStudySearch,
    beforeLoad: guard,
    component: lazyRouteComponent(() => import('../pages/StudyPage'), 'StudyPage'),
  });
  const devices = createRoute({
    getParentRoute: () => root,
    path: '/devices',
    validateSearch: (raw: Record<string, unknown>): DevicesSearch => {
      const archive = some(raw.archive);
      return archive === undefined ? {} : { archive };
    },
    beforeLoad: guard,
    component: lazyRouteComponent(() => import('../pages/DevicesPage'), 'DevicesPage'),
  });
  return createRouter({
    routeTree: root.addChildren([login, list, study, devices]),
    ...(history === undefined ? {} : { history }),
    defaultNotFoundComponent: StudyListPage,
    // UIDs must stay text: the default would read 1.2 as a number.
    parseSearch: (query) => Object.fromEntries(new URLSearchParams(query)),
    stringifySearch: (search) => {
      const entries = Object.entries(search).filter(([, value]) => value !== undefined && value !== '');
      const query = new URLSearchParams(entries as [string, string][]).toString();
      return query === '' ? '' : `?${query}`;
    },
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
