import { QueryClient } from '@tanstack/react-query';
import { asApiError } from '../api/errors';

const MAX_RETRIES = 2;

/** Trying again helps against a busy or unreachable server, not against an answer that says no. */
export function shouldRetry(failures: number, error: unknown): boolean {
  const { trouble } = asApiError(error);
  return failures < MAX_RETRIES && (trouble === 'offline' || trouble === 'busy' || trouble === 'server');
}

export function createQueryClient(): QueryClient {
  return new QueryClient({
    // `always`: hospital networks without internet still reach their node, whatever the browser believes.
    defaultOptions: { queries: { retry: shouldRetry, networkMode: 'always', refetchOnWindowFocus: false } },
  });
}
