import { createContext, type ReactNode, useContext, useSyncExternalStore } from 'react';
import type { Client } from '../api/client';
import type { SessionState, SessionStore } from '../api/session';
import type { ThumbnailCache } from '../ui/thumbnail-cache';

export interface Services {
  client: Client;
  store: SessionStore;
  thumbnails: ThumbnailCache;
  /** What the list was searched for, kept while a study is looked at; in memory only, for it names patients. */
  memory: { searchText: string };
}

const ServicesContext = createContext<Services | null>(null);

export function ServicesProvider({ services, children }: { services: Services; children: ReactNode }) {
  return <ServicesContext value={services}>{children}</ServicesContext>;
}

export function useServices(): Services {
  const services = useContext(ServicesContext);
  if (services === null) throw new Error('ServicesProvider is missing');
  return services;
}

export function useSessionState(): SessionState {
  const { store } = useServices();
  return useSyncExternalStore(store.subscribe, () => store.state);
}
