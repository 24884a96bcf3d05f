/**
 * Who is logged in, in this tab. Tokens live in sessionStorage: they end with the tab and no other site's page reads them.
 */

export interface Session {
  token: string;
  refreshToken: string;
  /** Milliseconds since the epoch at which `token` ends. */
  expiresAt: number;
  user: string;
}

export type Ending = 'logout' | 'expired';

export interface SessionState {
  session: Session | null;
  /** Why the last session ended; `null` when there was none. */
  ended: Ending | null;
}

const KEY = 'maypacs.session';

function isSession(value: unknown): value is Session {
  const candidate = value as Session | null;
  return (
    typeof candidate === 'object' &&
    candidate !== null &&
    typeof candidate.token === 'string' &&
    typeof candidate.expiresAt === 'number' &&
    typeof candidate.user === 'string' &&
    typeof candidate.refreshToken === 'string'
  );
}

function read(storage: Storage): Session | null {
  try {
    const stored: unknown = JSON.parse(storage.getItem(KEY) ?? 'null');
    return isSession(stored) ? stored : null;
  } catch {
    return null;
  }
}

export class SessionStore {
  #state: SessionState;
  #listeners = new Set<() => void>();
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
    this.#state = { session: read(storage), ended: null };
  }

  get state(): SessionState {
    return this.#state;
  }

  get session(): Session | null {
    return this.#state.session;
  }

  begin(session: Session): void {
    this.#storage.setItem(KEY, JSON.stringify(session));
    this.#set({ session, ended: null });
  }

  end(why: Ending): void {
    if (this.#state.session === null) return;
    this.#storage.removeItem(KEY);
    this.#set({ session: null, ended: why });
  }

  /** For `useSyncExternalStore`. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #set(state: SessionState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}
