/**
 * Who is logged in, in this tab. Tokens live in sessionStorage: they end with the tab and no other site's page reads them.
 * Tabs of one person tell each other: a tab opened from a list continues the session of the list, tabs that share a refresh
 * token (it is good for one exchange) share what it was exchanged for, and a logout is one for all of them.
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

/** What tabs say to each other. */
export type Message =
  | { kind: 'hello' }
  | { kind: 'answer'; session: Session }
  | { kind: 'session'; session: Session; replaces: string | null }
  | { kind: 'end'; refreshToken: string; why: Ending };

/** As much of a BroadcastChannel as is needed. */
export interface Channel {
  postMessage(message: Message): void;
  onmessage: ((event: MessageEvent<Message>) => void) | null;
}

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
  readonly #channel: Channel | null;
  /** Called by the first answer of another tab; null when none is hoped for. */
  #answered: (() => void) | null = null;

  constructor(storage: Storage, channel: Channel | null = null) {
    this.#storage = storage;
    this.#channel = channel;
    this.#state = { session: read(storage), ended: null };
    if (channel !== null) channel.onmessage = ({ data }) => this.#hear(data);
  }

  get state(): SessionState {
    return this.#state;
  }

  get session(): Session | null {
    return this.#state.session;
  }

  /**
   * Asks the other tabs for their session; resolves when one answers, or after `ms` when none does. A later answer is taken
   * too: a tab that draws pictures on a slow PC is busy for longer than anybody should look at nothing.
   */
  async ask(ms: number): Promise<void> {
    if (this.#state.session !== null || this.#channel === null) return;
    await new Promise<void>((resolve) => {
      this.#answered = resolve;
      setTimeout(resolve, ms);
      this.#channel?.postMessage({ kind: 'hello' });
    });
  }

  /** `replaces`: the refresh token that was given for this session, if any. */
  begin(session: Session, replaces: string | null = null): void {
    this.#keep(session);
    this.#channel?.postMessage({ kind: 'session', session, replaces });
  }

  end(why: Ending): void {
    const { session } = this.#state;
    if (session === null) return;
    this.#forget(why);
    this.#channel?.postMessage({ kind: 'end', refreshToken: session.refreshToken, why });
  }

  #hear(message: Message): void {
    const { session } = this.#state;
    if (message.kind === 'hello' && session !== null) {
      this.#channel?.postMessage({ kind: 'answer', session });
    } else if (message.kind === 'answer' && isSession(message.session)) {
      const answered = this.#answered;
      if (answered === null || session !== null) return;
      this.#keep(message.session);
      answered();
    } else if (message.kind === 'session' && isSession(message.session)) {
      if (session !== null && session.refreshToken === message.replaces) this.#keep(message.session);
    } else if (message.kind === 'end' && session?.refreshToken === message.refreshToken) this.#forget(message.why);
  }

  #keep(session: Session): void {
    this.#storage.setItem(KEY, JSON.stringify(session));
    this.#set({ session, ended: null });
  }

  #forget(why: Ending): void {
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
    this.#answered = null;
    for (const listener of this.#listeners) listener();
  }
}
