import { MantineProvider } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { useEffect } from 'react';
import { useServices, useSessionState } from './services';
import { theme } from './theme';

/** Light everywhere, dark where pictures are read. A session that ends leads to the login page, and takes its data along. */
export function Root() {
  const dark = useRouterState({ select: (state) => state.location.pathname === '/study' });
  return (
    <MantineProvider theme={theme} forceColorScheme={dark ? 'dark' : 'light'}>
      <SessionGuard />
      <Outlet />
    </MantineProvider>
  );
}

/** How often the token's end is looked at: a page that asks nothing, such as a viewer at rest, keeps its session too. */
const CHECK_MS = 30_000;

function SessionGuard() {
  const { session } = useSessionState();
  const { client, thumbnails, memory } = useServices();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const location = useRouterState({ select: (state) => state.location });
  const loggedIn = session !== null;

  useEffect(() => {
    if (!loggedIn) return;
    const timer = window.setInterval(() => void client.token().catch(() => undefined), CHECK_MS);
    return () => window.clearInterval(timer);
  }, [client, loggedIn]);

  useEffect(() => {
    if (loggedIn) return;
    queries.clear();
    thumbnails.clear();
    memory.searchText = '';
    if (location.pathname !== '/login') void navigate({ to: '/login', search: { next: location.href } });
  }, [loggedIn, location.pathname, location.href, navigate, queries, thumbnails, memory]);

  return null;
}
