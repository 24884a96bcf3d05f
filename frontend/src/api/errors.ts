/** What may go wrong between the dashboard and its server, in the words the pages can translate. */
export type Trouble = 'offline' | 'unauthorised' | 'forbidden' | 'notFound' | 'gone' | 'busy' | 'rejected' | 'server';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly trouble: Trouble;
  readonly status: number;
  /** What the server calls this failure, for the support desk; `null` when it gave none. */
  readonly supportId: string | null;

  constructor(trouble: Trouble, status: number, supportId: string | null = null) {
    super(`${trouble} (${status})`);
    this.trouble = trouble;
    this.status = status;
    this.supportId = supportId;
  }
}

export function troubleOf(status: number): Trouble {
  if (status === 401) return 'unauthorised';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'notFound';
  if (status === 410) return 'gone';
  if (status === 429 || status === 503) return 'busy';
  return status >= 500 ? 'server' : 'rejected';
}

export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError('offline', 0);
}
