import { ApiError, troubleOf } from './errors';
import type { Session, SessionStore } from './session';

/** What POST /api/login and POST /api/token answer. */
interface TokenAnswer {
  access_token: string;
  /** A new one each time; the one before is worth nothing soon after. */
  refresh_token: string;
  /** Seconds. */
  expires_in: number;
  me: { id: string; name: string };
}

export interface ClientParts {
  fetch: typeof fetch;
  store: SessionStore;
  now: () => number;
}

/** A token is exchanged this long before it ends, so that none ends on its way. */
export const REFRESH_MARGIN_MS = 60_000;

/**
 * Everything the dashboard asks goes through here: the token is added, exchanged before it ends, and once more when the
 * server says 401; a session that cannot be continued is ended, which leads to the login page.
 */
export class Client {
  readonly #parts: ClientParts;
  #refreshing: Promise<void> | null = null;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  async login(user: string, password: string): Promise<void> {
    const response = await this.#send('/api/login', jsonInit('POST', { user, password }));
    if (!response.ok) throw await failure(response);
    this.#begin((await response.json()) as TokenAnswer);
  }

  logout(): void {
    const session = this.#parts.store.session;
    this.#parts.store.end('logout');
    if (session !== null) {
      // The tab forgets the tokens whatever the server answers.
      this.#send('/api/logout', withToken(jsonInit('POST', {}), session)).catch(() => undefined);
    }
  }

  /** The token to send now, exchanged if it is about to end. Throws ApiError `unauthorised` when there is none. */
  async token(): Promise<string> {
    const session = await this.#current();
    return session.token;
  }

  /** A request with the token; any answer but 2xx is thrown as ApiError. */
  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const session = await this.#current();
    let response = await this.#send(path, withToken(init, session));
    if (response.status === 401) {
      response = await this.#send(path, withToken(init, await this.#renewed(session)));
      if (response.status === 401) this.#parts.store.end('expired');
    }
    if (!response.ok) throw await failure(response);
    return response;
  }

  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this.request(path, { ...init, headers: { Accept: 'application/json', ...init.headers } });
    if (response.status === 204) return [] as T;
    return (await response.json()) as T;
  }

  async post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    return this.json<T>(path, { ...jsonInit('POST', body), ...(signal === undefined ? {} : { signal }) });
  }

  async #current(): Promise<Session> {
    const session = this.#parts.store.session;
    if (session === null) throw new ApiError('unauthorised', 401);
    if (session.expiresAt - this.#parts.now() > REFRESH_MARGIN_MS) return session;
    return this.#renewed(session);
  }

  /** The session that follows `old`; several callers share one exchange. */
  async #renewed(old: Session): Promise<Session> {
    if (this.#parts.store.session?.token === old.token) {
      this.#refreshing ??= this.#refresh(old).finally(() => {
        this.#refreshing = null;
      });
      await this.#refreshing;
    }
    const session = this.#parts.store.session;
    if (session === null) throw new ApiError('unauthorised', 401);
    return session;
  }

  async #refresh(session: Session): Promise<void> {
    const response = await this.#send('/api/token', jsonInit('POST', { refresh_token: session.refreshToken }));
    if (response.ok) {
      const answer = (await response.json()) as TokenAnswer;
      // Logged out while the exchange was on its way: stay logged out.
      if (this.#parts.store.session?.token === session.token) this.#begin(answer, session.refreshToken);
      return;
    }
    // Another tab may have been faster: then its session goes on here.
    if (this.#parts.store.session?.token !== session.token) return;
    if (response.status < 500 && response.status !== 429) this.#parts.store.end('expired');
    else if (session.expiresAt <= this.#parts.now()) throw await failure(response);
  }

  #begin(answer: TokenAnswer, replaces: string | null = null): void {
    const session = {
      token: answer.access_token,
      refreshToken: answer.refresh_token,
      expiresAt: this.#parts.now() + answer.expires_in * 1000,
      user: answer.me.name || answer.me.id,
    };
    this.#parts.store.begin(session, replaces);
  }

  async #send(path: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#parts.fetch(path, init);
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') throw error;
      throw new ApiError('offline', 0);
    }
  }
}

function jsonInit(method: string, body: unknown): RequestInit {
  return { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}

function withToken(init: RequestInit, session: Session): RequestInit {
  return {
    ...init,
    headers: { ...(init.headers as Record<string, string>), Authorization: `Bearer ${session.token}` },
  };
}

async function failure(response: Response): Promise<ApiError> {
  // Problem details (RFC 9457), unless something on the way answered in the server's place.
  const problem = (await response.json().catch(() => null)) as { support_id?: unknown } | null;
  const supportId = typeof problem?.support_id === 'string' ? problem.support_id : null;
  return new ApiError(troubleOf(response.status), response.status, supportId);
}
