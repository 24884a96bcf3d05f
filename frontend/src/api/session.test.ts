import { beforeEach, describe, expect, it } from 'vitest';
import { type Channel, type Message, type Session, SessionStore } from './session';

const session = (n: number): Session => ({ token: `t${n}`, refreshToken: `r${n}`, expiresAt: 9e12, user: 'BS. Thử' });

class Memory implements Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> {
  readonly #items = new Map<string, string>();
  getItem = (key: string) => this.#items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.#items.set(key, value);
  removeItem = (key: string) => void this.#items.delete(key);
}

/** Tabs of one browser: each has its own storage, and hears what the others say. */
let channels: Channel[] = [];
function openTab(): SessionStore {
  const channel: Channel = {
    onmessage: null,
    postMessage: (message: Message) => {
      for (const other of channels)
        if (other !== channel) other.onmessage?.({ data: message } as MessageEvent<Message>);
    },
  };
  channels.push(channel);
  return new SessionStore(new Memory() as unknown as Storage, channel);
}

beforeEach(() => {
  channels = [];
});

describe('tabs of one browser', () => {
  it('continue the session of the tab that they were opened from', async () => {
    const [list, study] = [openTab(), openTab()];
    list.begin(session(1));
    await study.ask(10);
    expect(study.session).toEqual(session(1));
  });

  it('do not log in because another tab does', () => {
    const [one, other] = [openTab(), openTab()];
    one.begin(session(1));
    expect(other.session).toBeNull();
  });

  it('take an answer that comes late, but no session after a logout', async () => {
    const [busy, late] = [openTab(), openTab()];
    const [busyChannel] = channels;
    const hear = busyChannel?.onmessage;
    const heard: MessageEvent<Message>[] = [];
    if (busyChannel !== undefined) busyChannel.onmessage = (event) => heard.push(event);
    busy.begin(session(1));
    await late.ask(1);
    expect(late.session).toBeNull();
    for (const event of heard) hear?.(event);
    expect(late.session).toEqual(session(1));
    late.end('logout');
    for (const event of heard) hear?.(event);
    expect(late.session).toBeNull();
  });

  it('that asked in vain do not log in when another tab does', async () => {
    const [one, other] = [openTab(), openTab()];
    await other.ask(1);
    one.begin(session(1));
    expect(other.session).toBeNull();
  });

  it('wait no longer than told when nobody is logged in', async () => {
    const [, lonely] = [openTab(), openTab()];
    await lonely.ask(1);
    expect(lonely.session).toBeNull();
  });

  it('share what their refresh token was exchanged for: it is good for one exchange', async () => {
    const [one, other, stranger] = [openTab(), openTab(), openTab()];
    one.begin(session(1));
    await other.ask(10);
    stranger.begin(session(7));
    one.begin(session(2), 'r1');
    expect(other.session).toEqual(session(2));
    expect(stranger.session).toEqual(session(7));
  });

  it('are logged out together, but not those of another session', async () => {
    const [one, other, stranger] = [openTab(), openTab(), openTab()];
    one.begin(session(1));
    await other.ask(10);
    stranger.begin(session(7));
    one.end('logout');
    expect(other.state).toEqual({ session: null, ended: 'logout' });
    expect(stranger.session).toEqual(session(7));
  });
});
