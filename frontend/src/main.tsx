import '@mantine/core/styles.css';
import './app/global.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { I18nextProvider } from 'react-i18next';
import { Client } from './api/client';
import { SessionStore } from './api/session';
import { createQueryClient } from './app/queries';
import { createAppRouter } from './app/router';
import { ServicesProvider } from './app/services';
import { startI18n } from './i18n';
import { ThumbnailCache } from './ui/thumbnail-cache';

/** A tab that was just opened waits so long for another one's session. */
const ASK_MS = 150;

const store = new SessionStore(window.sessionStorage, new BroadcastChannel('maypacs.session'));
await store.ask(ASK_MS);
const client = new Client({ fetch: window.fetch.bind(window), store, now: Date.now });
const services = { client, store, thumbnails: new ThumbnailCache(client), memory: { searchText: '' } };
const i18n = startI18n(window.localStorage, navigator.languages);
const router = createAppRouter(store);

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <I18nextProvider i18n={i18n}>
      <QueryClientProvider client={createQueryClient()}>
        <ServicesProvider services={services}>
          <RouterProvider router={router} />
        </ServicesProvider>
      </QueryClientProvider>
    </I18nextProvider>
  </StrictMode>,
);
