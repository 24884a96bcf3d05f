import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Client, REFRESH_MARGIN_MS } from './client';
import { ApiError } from './errors';
import { SessionStore } from './session';

const START = 1_000_000;
const LIFE_S = 900;

type Reply = (path: string, init: RequestInit) => Response | Promise<Response>;

const tokens = (name: string) =>
  Response.json({
    access_token: `access-${name}`,
    refresh_token: `refresh-${name}`,
    expires_in: LIFE_S,
    me: { id: 'bacsi', name: 'BS. Thử' },
  });
const bearer = (init: RequestInit) => (init.headers as Record<string, string>).Authorization;
const body = (init: RequestInit) => JSON.parse(String(init.body)) as Record<string, string>;

function setUp(reply: Reply) {
  let now = START;
  const calls: [string, RequestInit][] = [];
  const fetch = vi.fn(async (path: string, init: RequestInit) => {
    calls.push([path, init]);
    return reply(path, init);
  });
  const store = new SessionStore(sessionStorage);
  const client = new Client({ fetch: fetch as unknown as typeof globalThis.fetch, store, now: () => now });
  const pass = (ms: number) => {
    now += ms;
  };
  const begin = () =>
    store.begin({ token: 'access-1', refreshToken: 'refresh-1', expiresAt: now + LIFE_S * 1000, user: 'BS. Thử' });
  const paths = () => calls.map(([path]) => path);
  return { client, store, calls, paths, pass, begin };
}

beforeEach(() => sessionStorage.clear());

describe('logging in', () => {
  it('keeps the session for this tab, also over a reload', async () => {
    const { client, calls } = setUp(() => tokens('1'));
    await client.login('bacsi', 'mật khẩu');
    expect(body(calls[0]?.[1] ?? {})).toEqual({ user: 'bacsi', password: 'mật khẩu' });
    expect(new SessionStore(sessionStorage).session).toEqual({
      token: 'access-1',
      refreshToken: 'refresh-1',
      expiresAt: START + LIFE_S * 1000,
      user: 'BS. Thử',
    });
  });

  it('says which kind of refusal it was, with the code for the support desk', async () => {
    const { client, store } = setUp(() => Response.json({ support_id: 'S-7' }, { status: 401 }));
    await expect(client.login('bacsi', 'x')).rejects.toMatchObject({ trouble: 'unauthorised', supportId: 'S-7' });
    expect(store.session).toBeNull();
  });
});

describe('a request', () => {
  it('carries the token', async () => {
    const { client, begin, calls } = setUp(() => Response.json({ ok: 1 }));
    begin();
    expect(await client.json('/api/me')).toEqual({ ok: 1 });
    expect(bearer(calls[0]?.[1] ?? {})).toBe('Bearer access-1');
  });

  it('is not sent without a session', async () => {
    const { client, calls } = setUp(() => Response.json({}));
    await expect(client.json('/api/me')).rejects.toMatchObject({ trouble: 'unauthorised' });
    expect(calls).toEqual([]);
  });

  it('exchanges a token that is about to end first, once for all who wait', async () => {
    const { client, begin, paths, calls, pass, store } = setUp((path) =>
      path === '/api/token' ? tokens('2') : Response.json({}),
    );
    begin();
    pass(LIFE_S * 1000 - REFRESH_MARGIN_MS + 1);
    await Promise.all([client.json('/api/a'), client.json('/api/b'), client.json('/api/c')]);
    expect(paths()).toEqual(['/api/token', '/api/a', '/api/b', '/api/c']);
    expect(body(calls[0]?.[1] ?? {})).toEqual({ refresh_token: 'refresh-1' });
    expect(calls.slice(1).map(([, init]) => bearer(init))).toEqual(Array(3).fill('Bearer access-2'));
    expect(store.session?.refreshToken).toBe('refresh-2');
  });

  it('is sent again with a new token when the server says 401', async () => {
    const { client, begin, paths } = setUp((path, init) => {
      if (path === '/api/token') return tokens('2');
      return bearer(init) === 'Bearer access-2' ? Response.json({ ok: 1 }) : new Response(null, { status: 401 });
    });
    begin();
    expect(await client.json('/api/a')).toEqual({ ok: 1 });
    expect(paths()).toEqual(['/api/a', '/api/token', '/api/a']);
  });

  it('ends the session when the token cannot be exchanged', async () => {
    const { client, begin, store } = setUp(() => new Response(null, { status: 401 }));
    begin();
    await expect(client.json('/api/a')).rejects.toBeInstanceOf(ApiError);
    expect(store.state).toEqual({ session: null, ended: 'expired' });
    expect(sessionStorage.length).toBe(0);
  });

  it('ends the session when even a new token is refused', async () => {
    const { client, begin, store } = setUp((path) =>
      path === '/api/token' ? tokens('2') : new Response(null, { status: 401 }),
    );
    begin();
    await expect(client.json('/api/a')).rejects.toMatchObject({ status: 401 });
    expect(store.state.ended).toBe('expired');
  });

  it('goes on with the session of another tab that was faster at the exchange', async () => {
    const { client, begin, store, calls, pass } = setUp((path) => {
      if (path !== '/api/token') return Response.json({ ok: 1 });
      store.begin({ token: 'access-2', refreshToken: 'refresh-2', expiresAt: START + 9e9, user: 'BS. Thử' });
      return new Response(null, { status: 401 });
    });
    begin();
    pass(LIFE_S * 1000);
    expect(await client.json('/api/a')).toEqual({ ok: 1 });
    expect(bearer(calls.at(-1)?.[1] ?? {})).toBe('Bearer access-2');
  });

  it('keeps the session through a failing exchange while the old token lives', async () => {
    const { client, begin, store, pass } = setUp((path) =>
      path === '/api/token' ? new Response(null, { status: 503 }) : Response.json({ ok: 1 }),
    );
    begin();
    pass(LIFE_S * 1000 - 1000);
    expect(await client.json('/api/a')).toEqual({ ok: 1 });
    expect(store.session?.token).toBe('access-1');
  });

  it('stays logged out when the exchange answers after the logout', async () => {
    let answer: (response: Response) => void = () => undefined;
    const { client, begin, store, pass } = setUp((path) =>
      path === '/api/token'
        ? new Promise<Response>((resolve) => {
            answer = resolve;
          })
        : new Response(null, { status: 204 }),
    );
    begin();
    pass(LIFE_S * 1000);
    const request = client.json('/api/a');
    client.logout();
    answer(tokens('2'));
    await expect(request).rejects.toMatchObject({ trouble: 'unauthorised' });
    expect(store.state).toEqual({ session: null, ended: 'logout' });
  });

  it.each([
    [403, 'forbidden'],
    [404, 'notFound'],
    [410, 'gone'],
    [422, 'rejected'],
    [429, 'busy'],
    [503, 'busy'],
    [500, 'server'],
  ])('answered with %i is %s', async (status, trouble) => {
    const { client, begin } = setUp(() => new Response('<html>', { status }));
    begin();
    await expect(client.json('/api/a')).rejects.toMatchObject({ trouble, status, supportId: null });
  });

  it('that cannot be sent is offline', async () => {
    const { client, begin } = setUp(() => Promise.reject(new TypeError('Failed to fetch')));
    begin();
    await expect(client.json('/api/a')).rejects.toMatchObject({ trouble: 'offline' });
  });

  it('that is given up is not called offline', async () => {
    const { client, begin } = setUp(() => Promise.reject(new DOMException('gone', 'AbortError')));
    begin();
    await expect(client.json('/api/a')).rejects.toBeInstanceOf(DOMException);
  });

  it('without content is an empty list, as QIDO-RS answers', async () => {
    const { client, begin } = setUp(() => new Response(null, { status: 204 }));
    begin();
    expect(await client.json('/dicomweb/a/studies')).toEqual([]);
  });
});

describe('logging out', () => {
  it('forgets the tokens at once, whatever the server answers', async () => {
    const { client, begin, store, paths, calls } = setUp(() => Promise.reject(new TypeError('offline')));
    begin();
    client.logout();
    expect(store.state).toEqual({ session: null, ended: 'logout' });
    expect(sessionStorage.length).toBe(0);
    expect(paths()).toEqual(['/api/logout']);
    expect(bearer(calls[0]?.[1] ?? {})).toBe('Bearer access-1');
  });
});

describe('the kept session', () => {
  it.each(['null', '{', '{"token":1}', '{"token":"t","user":"u","expiresAt":"soon"}'])(
    'is not read from %s',
    (stored) => {
      sessionStorage.setItem('maypacs.session', stored);
      expect(new SessionStore(sessionStorage).session).toBeNull();
    },
  );
});
