import { QueryClientProvider } from '@tanstack/react-query';
import { createMemoryHistory, RouterProvider } from '@tanstack/react-router';
import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import { I18nextProvider } from 'react-i18next';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Client } from '../api/client';
import { SessionStore } from '../api/session';
import { createQueryClient } from '../app/queries';
import { createAppRouter, insidePath } from '../app/router';
import { ServicesProvider } from '../app/services';
import { startI18n } from '../i18n';
import { REFRESH_DEVICES_MS } from '../pages/DevicesPage';
import { REFRESH_MS } from '../pages/worklist';
import { ThumbnailCache } from '../ui/thumbnail-cache';

vi.mock('../viewer/cornerstone', () => ({ startCornerstone: vi.fn(), forgetImages: vi.fn() }));
vi.mock('../viewer/StackController', () => ({ StackController: vi.fn() }));
vi.mock('../viewer/tools', () => ({ TOOLS: [] }));

const ME = { id: 'bacsi', name: 'BS. Thử' };
const STUDY_UID = '1.2.840.99.1';

const study = (uid: string, name: string, images = 120) => ({
  study_instance_uid: uid,
  dicom: {
    '0020000D': { vr: 'UI', Value: [uid] },
    '00100010': { vr: 'PN', Value: [{ Alphabetic: name }] },
    '00100020': { vr: 'LO', Value: ['MAY-0001'] },
    '00100040': { vr: 'CS', Value: ['F'] },
    '00100030': { vr: 'DA', Value: ['19700101'] },
    '00080020': { vr: 'DA', Value: ['20261115'] },
    '00080061': { vr: 'CS', Value: ['CT'] },
    '00081030': { vr: 'LO', Value: ['CT lồng ngực'] },
    '00201208': { vr: 'IS', Value: [images] },
  },
});

type Handler = (path: string, body: Record<string, unknown>) => Response | undefined;

const loggedIn = {
  token: 'access',
  refreshToken: 'refresh',
  expiresAt: Date.now() + 900_000,
  user: ME.name,
};

/** The whole dashboard over a server that is a function. */
function start(at: string, handler: Handler, options: { session: boolean } = { session: true }) {
  const requests: [string, Record<string, unknown>][] = [];
  const fetch = async (path: string, init: RequestInit) => {
    const body = typeof init.body === 'string' ? (JSON.parse(init.body) as Record<string, unknown>) : {};
    requests.push([path, body]);
    const answer = handler(path, body);
    if (answer !== undefined) return answer;
    if (path === '/api/archives') {
      return Response.json({
        archives: [{ archive: 'demo', name: 'Bệnh viện Thử nghiệm', role: 'radiologist', actions: ['monitor'] }],
      });
    }
    return new Response(null, { status: 404 });
  };
  const store = new SessionStore(sessionStorage);
  if (options.session) store.begin(loggedIn);
  const client = new Client({ fetch: fetch as unknown as typeof globalThis.fetch, store, now: Date.now });
  const services = { client, store, thumbnails: new ThumbnailCache(client), memory: { searchText: '' } };
  const router = createAppRouter(store, createMemoryHistory({ initialEntries: [at] }));
  render(
    <I18nextProvider i18n={startI18n(localStorage, ['vi'])}>
      <QueryClientProvider client={createQueryClient()}>
        <ServicesProvider services={services}>
          <RouterProvider router={router} />
        </ServicesProvider>
      </QueryClientProvider>
    </I18nextProvider>,
  );
  return { requests, router, store };
}

const found = (...studies: ReturnType<typeof study>[]) => Response.json({ studies, next: null, warning: null });
const searched = (path: string) => path === '/api/archives/demo/search';

beforeEach(() => {
  sessionStorage.clear();
  localStorage.clear();
});
afterEach(cleanup);

describe('the login page', () => {
  it('is what a stranger gets, and leads on to where they wanted to go', async () => {
    const login = { access_token: 'a', refresh_token: 'r', expires_in: 900, me: ME };
    const { router } = start(
      '/?modality=CT',
      (path) =>
        path === '/api/login' ? Response.json(login) : searched(path) ? found(study(STUDY_UID, 'A')) : undefined,
      { session: false },
    );
    fireEvent.change(await screen.findByLabelText('Tên đăng nhập'), { target: { value: 'bacsi' } });
    fireEvent.change(screen.getByLabelText('Mật khẩu'), { target: { value: 'x' } });
    fireEvent.click(screen.getByRole('button', { name: 'Đăng nhập' }));
    await screen.findByRole('table');
    expect(router.state.location.href).toBe('/?modality=CT');
  });

  it('says so when the password is wrong, and empties it', async () => {
    start('/login', () => new Response(null, { status: 401 }), { session: false });
    const password = await screen.findByLabelText<HTMLInputElement>('Mật khẩu');
    fireEvent.change(password, { target: { value: 'x' } });
    fireEvent.submit(screen.getByRole('form', { name: 'Đăng nhập' }));
    expect((await screen.findByRole('alert')).textContent).toContain('Sai tên đăng nhập');
    expect(password.value).toBe('');
  });

  it('switches to English and back', async () => {
    start('/login', () => undefined, { session: false });
    fireEvent.click(await screen.findByText('English'));
    await screen.findByRole('button', { name: 'Log in' });
  });

  it('leads to no stranger after the login', () => {
    expect(insidePath('/study?study=1.2')).toBe('/study?study=1.2');
    for (const path of ['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)', 7]) {
      expect(insidePath(path)).toBeUndefined();
    }
  });
});

describe('the list', () => {
  it('shows who, what and when', async () => {
    start('/', (path) => (searched(path) ? found(study(STUDY_UID, 'Trần^Thị Mẫu')) : undefined));
    const row = (await screen.findByText('Trần Thị Mẫu')).closest('tr');
    for (const text of ['MAY-0001', 'Nữ · 56 tuổi', '15/11/2026', 'CT', 'CT lồng ngực', '120']) {
      within(row as HTMLElement).getByText(text);
    }
  });

  it('searches as one types, in the body and not in the address', async () => {
    const { requests, router } = start('/', (path) => (searched(path) ? found() : undefined));
    fireEvent.change(await screen.findByRole('searchbox'), { target: { value: 'nguyen' } });
    await waitFor(() => expect(requests.some(([, body]) => body.text === 'nguyen')).toBe(true));
    expect(requests.some(([path]) => path.includes('nguyen'))).toBe(false);
    expect(router.state.location.href).not.toContain('nguyen');
    await screen.findByText('Không có ca chụp nào khớp');
  });

  it('shows a study that arrives, without being asked', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    let studies = [study('1.2', 'A')];
    start('/', (path) => (searched(path) ? found(...studies) : undefined));
    await screen.findByText('A');
    studies = [study('1.3', 'B'), ...studies];
    await vi.advanceTimersByTimeAsync(REFRESH_MS);
    await screen.findByText('B');
    vi.useRealTimers();
  });

  it('says that it is empty, and why that may be', async () => {
    start('/', (path) => (searched(path) ? found() : undefined));
    await screen.findByText('Chưa có ca chụp nào');
  });

  it('loads the next page with the cursor', async () => {
    start('/', (path, body) => {
      if (!searched(path)) return undefined;
      if (body.cursor === 'two') return found(study('1.3', 'B'));
      return Response.json({ studies: [study('1.2', 'A')], next: 'two' });
    });
    fireEvent.click(await screen.findByRole('button', { name: 'Tải thêm' }));
    await waitFor(() => expect(screen.getAllByRole('row')).toHaveLength(3));
    expect(screen.queryByRole('button', { name: 'Tải thêm' })).toBeNull();
  });

  it('says what went wrong, with the support code, and tries again when asked', async () => {
    let broken = true;
    start('/', (path) => {
      if (!searched(path)) return undefined;
      return broken ? Response.json({ support_id: 'S-9' }, { status: 403 }) : found(study(STUDY_UID, 'A'));
    });
    expect((await screen.findByRole('alert')).textContent).toContain('Mã hỗ trợ: S-9');
    broken = false;
    fireEvent.click(screen.getByRole('button', { name: 'Thử lại' }));
    await screen.findByRole('table');
  });

  it('says when an account has no archive', async () => {
    start('/', (path) => (path === '/api/archives' ? Response.json({ archives: [] }) : undefined));
    await screen.findByText(/chưa được cấp kho ảnh/);
  });

  it('gives way to the login page, with a word, when the session ends', async () => {
    const { router, store } = start('/', (path) =>
      path === '/api/archives' || path === '/api/token' ? new Response(null, { status: 401 }) : undefined,
    );
    await screen.findByText('Phiên làm việc đã hết hạn. Mời đăng nhập lại.');
    expect(router.state.location.pathname).toBe('/login');
    expect(store.session).toBeNull();
  });
});

describe('the study page', () => {
  const series = (uid: string, modality: string, number: number) => ({
    series_instance_uid: uid,
    modality,
    instances: 2,
    conflicts: 0,
    dicom: { '0020000E': { Value: [uid] }, '00080060': { Value: [modality] }, '00200011': { Value: [number] } },
  });
  const details = (part: object) => ({
    ...study(STUDY_UID, 'Trần^Thị Mẫu'),
    warnings: [],
    conflicts: 0,
    series: [],
    ...part,
  });
  const at = `/study?archive=demo&study=${STUDY_UID}`;
  const isStudy = (path: string) => path === `/api/archives/demo/studies/${STUDY_UID}`;

  it('warns of what a person should check', async () => {
    start(at, (path) =>
      isStudy(path) ? Response.json(details({ warnings: ['two PatientIDs in one study'], conflicts: 1 })) : undefined,
    );
    const alert = await screen.findByRole('alert');
    expect(alert.textContent).toContain('nhiều mã bệnh nhân khác nhau');
    expect(alert.textContent).toContain('bản đầu tiên đang được hiển thị');
  });

  it('lists the series in reading order and says plainly that a report has no images', async () => {
    start(at, (path) => {
      if (isStudy(path)) return Response.json(details({ series: [series('1.9', 'SR', 1), series('1.8', 'CT', 5)] }));
      return path.endsWith('/metadata') ? Response.json([{ '00080018': { Value: ['1.9.1'] } }]) : undefined;
    });
    const strip = await screen.findByRole('navigation', { name: 'Các chuỗi ảnh' });
    expect([...strip.querySelectorAll('[data-series]')].map((item) => item.getAttribute('data-series'))).toEqual([
      '1.8',
      '1.9',
    ]);
    fireEvent.click(within(strip).getByRole('button', { name: /SR/ }));
    await screen.findByText('Chuỗi này không có ảnh');
  });

  it('names no patient in the title of the window', async () => {
    start(at, (path) => (isStudy(path) ? Response.json(details({})) : undefined));
    await screen.findByText('Ca chụp này chưa có chuỗi ảnh nào.');
    expect(document.title).toBe('Khung xem ảnh · MayPACS');
  });

  it('says when a study is not there', async () => {
    start(at, () => undefined);
    expect((await screen.findByRole('alert')).textContent).toContain('Không tìm thấy');
  });
});

describe('the devices', () => {
  const NOW = 1_795_000_000;
  const edge = (more: Record<string, unknown> = {}) => ({
    edge: 'e1',
    name: 'Trạm CĐHA',
    version: '0.1.0',
    enrolled_at: NOW - 86_400,
    heard_at: NOW - 20,
    level: 'amber',
    findings: [{ code: 'echo_failed', level: 'amber', device: 'MAY-XA', value: 600 }],
    health: {
      waiting: 1234,
      oldest_seconds: 130,
      cpu_percent: 17,
      memory_percent: 41,
      disk_free: 412e9,
      disk_total: 1e12,
      clock_offset_seconds: -95,
      certificate_days_left: 40.5,
      received_at: NOW - 130,
      devices: [
        { ae_title: 'MAY-CT', modality: 'CT', image_at: NOW - 130, heard_at: NOW - 130, echo_at: NOW - 60 },
        { ae_title: 'MAY-XA', echo_failed_at: NOW - 600 },
        { ae_title: 'MAY-US' },
      ],
    },
    ...more,
  });
  const told = (...edges: ReturnType<typeof edge>[]) => Response.json({ now: NOW, edges });
  const asked = (path: string) => path === '/api/archives/demo/devices';

  it('says in words how each edge and each device is, and what to do', async () => {
    start('/devices', (path) => (asked(path) ? told(edge()) : undefined));
    const card = await screen.findByRole('region', { name: 'Trạm CĐHA' });
    expect(within(card).getByText('MAY-XA không trả lời C-ECHO đã 10 phút.')).toBeTruthy();
    expect(within(card).getByText(/MAY-XA có bật không/)).toBeTruthy();
    expect(within(card).getByText('1.234 ảnh')).toBeTruthy();
    expect(within(card).getByText('412 GB')).toBeTruthy();
    expect(within(card).getByText('chậm 95 giây')).toBeTruthy();
    expect(within(card).getByText('chứng chỉ còn 40 ngày')).toBeTruthy();
    const state = (title: string) => within(card.querySelector(`[data-device="${title}"]`) as HTMLElement);
    expect(state('MAY-CT').getByText('Hoạt động tốt')).toBeTruthy();
    expect(state('MAY-XA').getByText('Cần kiểm tra')).toBeTruthy();
    expect(state('MAY-US').getByText('Chưa thấy')).toBeTruthy();
  });

  it('shows trouble first, and what a newer edge says without words for it', async () => {
    const well = edge({ edge: 'e2', name: 'A', level: 'green', findings: [] });
    const silent = edge({
      edge: 'e3',
      name: 'B',
      level: 'red',
      findings: [{ code: 'silent', level: 'red', value: 7300 }],
    });
    const newer = edge({ edge: 'e4', name: 'C', findings: [{ code: 'fan_stopped', level: 'amber' }], health: null });
    start('/devices', (path) => (asked(path) ? told(well, newer, silent) : undefined));
    await screen.findByText('Mất liên lạc đã 2 giờ.');
    expect(screen.getAllByRole('heading', { level: 2 }).map((heading) => heading.textContent)).toEqual(['B', 'C', 'A']);
    expect(screen.getByText(/Trạm báo: fan_stopped/)).toBeTruthy();
  });

  it('refresh themselves, and say when they could not', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    try {
      let answers = 0;
      start('/devices', (path) => {
        if (!asked(path)) return undefined;
        answers += 1;
        return answers === 1 ? told(edge()) : Response.json({ title: 'no', status: 403 }, { status: 403 });
      });
      await screen.findByText('Tự cập nhật');
      await vi.advanceTimersByTimeAsync(REFRESH_DEVICES_MS);
      await screen.findByText('Chưa cập nhật được danh sách; đang thử lại.');
      expect(screen.getByText('Trạm CĐHA')).toBeTruthy();
    } finally {
      vi.useRealTimers();
    }
  });

  it('give a code for a new edge and remove an old one, for who manages the archive', async () => {
    let edges = [edge()];
    const admin = [{ archive: 'demo', name: 'Thử', role: 'admin', actions: ['monitor', 'manage'] }];
    const { requests } = start('/devices', (path) => {
      if (path === '/api/archives') return Response.json({ archives: admin });
      if (asked(path)) return told(...edges);
      if (path === '/api/archives/demo/enrolment-codes')
        return Response.json({ code: 'AAAAA-BBBBB-CCCCC-DDDDD', expires_at: NOW + 600 }, { status: 201 });
      if (path !== '/api/archives/demo/edges/e1') return undefined;
      edges = [];
      return new Response(null, { status: 204 });
    });
    fireEvent.click(await screen.findByRole('button', { name: 'Thêm trạm' }));
    const origin = window.location.origin;
    expect(await screen.findByText(new RegExp(`enroll --url ${origin} --code AAAAA-BBBBB-CCCCC-DDDDD`))).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'Gỡ trạm này' }));
    expect(requests.map(([path]) => path)).not.toContain('/api/archives/demo/edges/e1');
    fireEvent.click(screen.getByRole('button', { name: 'Gỡ' }));
    expect(await screen.findByText('Kho ảnh này chưa có trạm gửi ảnh nào.')).toBeTruthy();
  });

  it('let nobody else add or remove an edge', async () => {
    start('/devices', (path) => (asked(path) ? told(edge()) : undefined));
    await screen.findByRole('region', { name: 'Trạm CĐHA' });
    expect(screen.queryByRole('button', { name: 'Thêm trạm' })).toBeNull();
    expect(screen.queryByRole('button', { name: 'Gỡ trạm này' })).toBeNull();
  });

  it('are offered to who works with them, not to who only looks at pictures', async () => {
    const { requests } = start('/', (path) => (searched(path) ? found(study(STUDY_UID, 'A^B')) : undefined));
    expect(await screen.findByRole('link', { name: 'Thiết bị' })).toBeTruthy();
    cleanup();
    sessionStorage.clear();
    const viewer = Response.json({ archives: [{ archive: 'demo', name: 'Thử', role: 'viewer', actions: [] }] });
    start('/devices', (path) => (path === '/api/archives' ? viewer.clone() : undefined));
    await screen.findByText('Tài khoản này không có quyền xem nội dung này.');
    expect(screen.queryByRole('link', { name: 'Thiết bị' })).toBeNull();
    expect(requests.some(([path]) => asked(path))).toBe(false);
  });
});
