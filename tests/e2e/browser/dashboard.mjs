// The dashboard in a real browser against a running node: log in, find, look at pictures, on a PC and on a phone.
//
//   MAYPACS_URL=http://127.0.0.1:8080 MAYPACS_USER=… MAYPACS_PASSWORD=… node tests/e2e/browser/dashboard.mjs
//
// The node must hold the demo's studies: the CT phantom of "Nguyễn …", and samples/studies.
// MAYPACS_SCREENSHOTS=folder keeps pictures; CHROMIUM names the browser. Exit 0: every step holds. Each step prints one line.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as browsing from '../../support/browser.mjs';
import { home, launch, logIn, middle, PC, PHONE, setting, settled, sliceShown, step } from '../../support/browser.mjs';

const require = createRequire(new URL('../../../frontend/package.json', import.meta.url));
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const user = setting('MAYPACS_USER');
const password = setting('MAYPACS_PASSWORD');
const screenshots = process.env.MAYPACS_SCREENSHOTS;

/** A study of the samples with real images: what to type, and how the name found begins. */
const REAL_CT = ['tran thi thu', 'Trần Thị Thử'];
const MAX_SCREENSHOT_BYTES = 300_000;

const problems = [];
const open = (browser, options) => browsing.open(browser, options, problems);
/** What the middle of the viewer shows. */
const pixels = async (page) => browsing.pixels(page, await middle(page.getByTestId('picture')));

async function screenshot(page, name) {
  if (!screenshots) return;
  const picture = await page.screenshot({ path: join(screenshots, name), scale: 'css' });
  assert.ok(picture.length < MAX_SCREENSHOT_BYTES, `${name} has ${picture.length} bytes`);
}

async function accessible(page, name) {
  await page.evaluate(`${axeSource};0`);
  const violations = await page.evaluate(async () => {
    const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    const { violations } = await window.axe.run(document, { runOnly });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
  });
  assert.deepEqual(violations, [], `accessibility of ${name}`);
}

async function noSidewaysScroll(page, name) {
  const [content, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(content <= window_, `${name}: ${content} px wide in a window of ${window_}`);
}

/** The devices of the edge that the test made up: words beside colours, what to do, on either kind of screen. */
async function devices(page, name) {
  await page.getByRole('link', { name: 'Thiết bị' }).click();
  const edge = page.locator('[data-edge]');
  await edge.getByText('MAY-XA không trả lời C-ECHO').waitFor();
  await edge.getByText('MAY-XA có bật không?').waitFor();
  await edge.locator('[data-device="MAY-CT"]').getByText('Hoạt động tốt').waitFor();
  await edge.locator('[data-device="MAY-XA"]').getByText('Cần kiểm tra').waitFor();
  await page.waitForLoadState('networkidle');
  await noSidewaysScroll(page, name);
  await accessible(page, name);
}

/** The paths of what the page has asked for since it was opened. */
const requested = (page) =>
  page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname));

const sliceLabel = (page) => page.getByTestId('slice').textContent();
const windowLabel = (page) => page.getByTestId('window').textContent();

/** Searches without accents and opens the first CT that is found. `begins`: how the names found begin. */
async function openCt(page, typed = 'nguyen', begins = 'Nguyễn') {
  await page.locator('input[type=search]').fill(typed);
  await page.waitForFunction((wanted) => {
    const names = [...document.querySelectorAll('[data-study]')].map((link) => link.textContent);
    return names.length > 0 && names.every((name) => name.normalize('NFC').startsWith(wanted));
  }, begins);
  const ct = page.locator('tr, li').filter({ hasText: 'CT' }).locator('[data-study]').first();
  await ct.click();
  await page.getByTestId('slice').waitFor();
  await settled(page);
}

async function onPc(browser) {
  const page = await open(browser, PC);
  await step('the login page is in Vietnamese, switches to English and back, and is accessible', async () => {
    await page.goto(home());
    await page.getByRole('button', { name: 'Đăng nhập' }).waitFor();
    await accessible(page, 'login');
    await page.getByText('English', { exact: true }).click();
    await page.getByRole('button', { name: 'Log in' }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
    await page.getByText('Tiếng Việt', { exact: true }).click();
  });
  await step('a wrong password is refused with a word', async () => {
    await page.locator('input[name=user]').fill(user);
    await page.locator('input[name=password]').fill(`${password}?`);
    await page.locator('button[type=submit]').click();
    await page.getByRole('alert').filter({ hasText: 'Sai tên đăng nhập' }).waitFor();
  });
  await step('the list shows studies with thumbnails, newest first, with unambiguous dates', async () => {
    await logIn(page);
    await page.waitForFunction(() => {
      const pictures = [...document.querySelectorAll('[data-thumbnail]')];
      return pictures.length > 0 && pictures.every((picture) => picture.complete && picture.naturalWidth > 0);
    });
    const dates = (await page.locator('tbody tr').allTextContents()).map((row) => /(\d{2})\/(\d{2})\/(\d{4})/.exec(row));
    const keys = dates.filter(Boolean).map(([, day, month, year]) => `${year}${month}${day}`);
    assert.ok(keys.length > 0, 'no date on the list');
    assert.deepEqual(keys, [...keys].sort().reverse());
    await page.mouse.move(5, PC.viewport.height - 5);
    await page.waitForLoadState('networkidle');
    await screenshot(page, 'dashboard.png');
    await accessible(page, 'list');
  });
  await step('no patient data goes into the address', async () => {
    await page.locator('input[type=search]').fill('nguyen');
    await page.waitForLoadState('networkidle');
    assert.ok(!page.url().includes('nguyen'));
  });
  await step('"nguyen" finds Nguyễn; its CT opens and shows pixels', async () => {
    await openCt(page);
    const shown = await pixels(page);
    assert.ok(shown.spread > 5, `the picture is blank: ${JSON.stringify(shown)}`);
  });
  await step('the wheel, the keys and the slider change the slice and the picture', async () => {
    const first = await pixels(page);
    const picture = page.getByTestId('picture');
    await picture.hover();
    await page.mouse.wheel(0, 120);
    await sliceShown(page, 2);
    const second = await pixels(page);
    assert.notEqual(second.print, first.print);
    await picture.focus();
    await page.keyboard.press('PageDown');
    await sliceShown(page, 12);
    const count = Number((await sliceLabel(page)).split('/')[1]);
    const middle = Math.round(count / 2);
    await page.locator('input[type=range]').fill(String(middle));
    await sliceShown(page, middle);
    assert.notEqual((await pixels(page)).print, second.print);
  });
  await step('a number that is typed on the picture leads to that slice, and the keys go on from there', async () => {
    await page.getByTestId('picture').focus();
    await page.keyboard.type('21');
    await page.keyboard.press('Enter');
    await sliceShown(page, 21);
    await page.keyboard.press('ArrowDown');
    await sliceShown(page, 22);
    await page.keyboard.type('9');
    await page.keyboard.press('Escape');
    await sliceShown(page, 22);
  });
  await step('a series comes in packs, and looks as it does when every frame is asked for', async () => {
    const frames = (await requested(page)).filter((path) => path.includes('/frames/'));
    const packs = (await requested(page)).filter((path) => path.startsWith('/blobs/packs/'));
    const count = Number((await sliceLabel(page)).split('/')[1]);
    await page.waitForFunction(() => document.querySelector('[data-complete=true]') !== null);
    assert.ok(packs.length > 0 && frames.length < count / 2, `${packs.length} packs, ${frames.length} frames of ${count}`);
    const middle = Math.round(count / 2);
    await page.locator('input[type=range]').fill(String(middle - 5));
    await sliceShown(page, middle - 5);
    const streamed = await pixels(page);
    await page.route('**/packs', (route) => route.abort());
    await page.reload();
    await page.getByTestId('slice').waitFor();
    await page.locator('input[type=range]').fill(String(middle - 5));
    await sliceShown(page, middle - 5);
    assert.equal((await pixels(page)).print, streamed.print);
    assert.ok(!(await requested(page)).some((path) => path.startsWith('/blobs/packs/')));
    await page.unroute('**/packs');
  });
  await step('a JPEG that holds RGB without saying so is shown in its colours', async () => {
    const other = await open(browser, PC);
    await logIn(other);
    await other.locator('input[type=search]').fill('MAY-77');
    await other.locator('[data-study="1.2.826.0.1.3680043.8.498.77"]').first().click();
    await other.getByTestId('slice').waitFor();
    let { rgb } = await pixels(other);
    for (let tries = 0; tries < 50 && rgb[0] === rgb[1]; tries += 1) {
      await other.waitForTimeout(200);
      ({ rgb } = await pixels(other));
    }
    assert.ok(rgb[0] > 150 && rgb[1] < 80 && rgb[2] < 80, `shown as ${rgb}`);
    await other.context().close();
  });
  await step('dragging changes window and level, a preset sets them, scrolling keeps them, reset takes them back', async () => {
    const before = await pixels(page);
    const stored = await windowLabel(page);
    const box = await page.getByTestId('picture').boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + 120, y + 60, { steps: 6 });
    await page.mouse.up();
    await settled(page);
    assert.notEqual(await windowLabel(page), stored);
    assert.notEqual((await pixels(page)).print, before.print);
    await page.getByRole('button', { name: 'Cửa sổ' }).click();
    await page.getByRole('menuitem', { name: /^Phổi/ }).click();
    await page.waitForFunction(() => document.querySelector('[data-testid=window]')?.textContent === 'W 1500 · L -600');
    await page.getByTestId('picture').focus();
    await page.keyboard.press('ArrowDown');
    await settled(page);
    assert.equal(await windowLabel(page), 'W 1500 · L -600');
    await page.getByRole('button', { name: 'Đặt lại' }).click();
    await page.waitForFunction((label) => document.querySelector('[data-testid=window]')?.textContent === label, stored);
  });
  await step('invert turns dark to bright and back', async () => {
    const before = await pixels(page);
    const button = page.getByRole('button', { name: 'Đảo màu' });
    await button.click();
    await settled(page);
    assert.notEqual((await pixels(page)).print, before.print);
    await button.click();
    await settled(page);
    assert.ok(Math.abs((await pixels(page)).mean - before.mean) < 1);
  });
  await step('the study page is accessible', async () => {
    await page.waitForLoadState('networkidle');
    await accessible(page, 'study');
  });
  await step('a slice that fails says so instead of showing its neighbour, and comes when asked again', async () => {
    // The slice that is shown first, and nothing more, gets through: neither packs nor other slices.
    const [packs, frames] = ['**/packs', '**/frames/**'];
    let through = 1;
    await page.route(packs, (route) => route.abort());
    await page.route(frames, (route) => (through-- > 0 ? route.continue() : route.abort()));
    await page.reload();
    await page.getByTestId('slice').waitFor();
    await page.waitForFunction(() => document.querySelector('[data-testid=window]') !== null);
    await page.getByTestId('picture').focus();
    await page.keyboard.press('End');
    const count = Number((await page.locator('input[type=range]').getAttribute('max')) ?? 0);
    const alert = page.locator('main').getByRole('alert');
    const failed = await Promise.race([
      alert.waitFor().then(() => true),
      page
        .waitForFunction((last) => document.querySelector('[data-testid=slice]')?.textContent?.includes(` ${last}/`), count)
        .then(() => false),
    ]);
    await page.unroute(packs);
    await page.unroute(frames);
    if (failed) await alert.getByRole('button', { name: 'Thử lại' }).click();
    await sliceShown(page, count);
    assert.ok(failed, 'the last slice was loaded before it could fail');
    // The image library leaves the rejections of what was cut off lying about.
    const cutOff = 'script error: XMLHttpRequest';
    problems.splice(0, problems.length, ...problems.filter((problem) => problem !== cutOff));
  });
  await step('a reload keeps the study and the session', async () => {
    await page.reload();
    await page.getByTestId('slice').waitFor();
  });
  await step('a study opened in a tab of its own needs no second login', async () => {
    const tab = await page.context().newPage();
    await tab.goto(page.url());
    await tab.getByTestId('slice').waitFor();
    await tab.close();
  });
  await step('the way back keeps the search', async () => {
    await page.getByRole('link', { name: 'Về danh sách' }).click();
    await page.locator('[data-study]').first().waitFor();
  });
  await step('a CT of a scanner opens too', async () => {
    await openCt(page, ...REAL_CT);
    assert.ok((await pixels(page)).spread > 5);
    await page.mouse.move(5, 5);
    await page.setViewportSize({ width: 1200, height: 750 });
    await page.waitForLoadState('networkidle');
    await settled(page);
    await screenshot(page, 'viewer.png');
    await page.getByRole('link', { name: 'Về danh sách' }).click();
    await page.locator('[data-study]').first().waitFor();
  });
  await step('the devices say how they are, and what to do', async () => {
    await devices(page, 'devices');
    await screenshot(page, 'devices.png');
  });
  await step('logging out leads to the login page and forgets the tokens', async () => {
    await page.getByRole('button', { name: 'Đăng xuất' }).click();
    await page.locator('input[name=password]').waitFor();
    assert.equal(await page.evaluate(() => JSON.stringify(sessionStorage).includes('token')), false);
  });
  await page.context().close();
}

async function onPhone(browser) {
  const page = await open(browser, PHONE);
  await step('a phone shows cards without sideways scrolling', async () => {
    await logIn(page);
    await page.waitForLoadState('networkidle');
    await noSidewaysScroll(page, 'list');
    await accessible(page, 'list on a phone');
  });
  await step('a phone opens the CT, shows pixels and says what it is not for', async () => {
    await openCt(page);
    assert.ok((await pixels(page)).spread > 5);
    await page.getByText('không dùng để chẩn đoán chính').waitFor();
    await noSidewaysScroll(page, 'study');
    const count = Number((await sliceLabel(page)).split('/')[1]);
    await page.locator('input[type=range]').fill(String(Math.round(count / 2)));
    await sliceShown(page, Math.round(count / 2));
    const field = page.getByLabel('Tới lát số');
    await field.tap();
    await field.fill('7');
    await page.keyboard.press('Enter');
    await sliceShown(page, 7);
    await page.waitForLoadState('networkidle');
    await accessible(page, 'study on a phone');
  });
  await step('one finger changes the window or the slice, two fingers the zoom', async () => {
    const stored = await windowLabel(page);
    const box = await page.getByTestId('picture').boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const touch = await page.context().newCDPSession(page);
    const send = (type, points) => touch.send('Input.dispatchTouchEvent', { type, touchPoints: points });
    await send('touchStart', [{ x, y }]);
    for (let i = 1; i <= 8; i += 1) await send('touchMove', [{ x: x + i * 8, y: y + i * 4 }]);
    await send('touchEnd', []);
    await page.waitForFunction((label) => document.querySelector('[data-testid=window]')?.textContent !== label, stored);
    const before = await pixels(page);
    const pair = (spread) => [
      { x: x - spread, y, id: 0 },
      { x: x + spread, y, id: 1 },
    ];
    await send('touchStart', pair(30));
    for (let spread = 34; spread <= 90; spread += 8) await send('touchMove', pair(spread));
    await send('touchEnd', []);
    await settled(page);
    assert.notEqual((await pixels(page)).print, before.print);
    await page.getByRole('button', { name: 'Cuộn lát' }).tap();
    const slice = await sliceLabel(page);
    await send('touchStart', [{ x, y }]);
    for (let i = 1; i <= 10; i += 1) await send('touchMove', [{ x, y: y + i * 8 }]);
    await send('touchEnd', []);
    await page.waitForFunction((label) => document.querySelector('[data-testid=slice]')?.textContent !== label, slice);
  });
  await step('a phone shows the CT of a scanner', async () => {
    await page.getByRole('link', { name: 'Về danh sách' }).click();
    await openCt(page, ...REAL_CT);
    await page.waitForLoadState('networkidle');
    await screenshot(page, 'phone.png');
  });
  await step('a phone shows the devices', async () => {
    await page.getByRole('link', { name: 'Về danh sách' }).click();
    await devices(page, 'devices on a phone');
    await screenshot(page, 'devices-phone.png');
  });
  await page.context().close();
}

/** A browser without WebGL draws with the processor. */
async function withoutWebGL() {
  const browser = await launch(['--disable-3d-apis']);
  try {
    const page = await open(browser, PC);
    await step('without WebGL pictures are drawn by the processor, and the window stays while scrolling', async () => {
      await logIn(page);
      await openCt(page);
      const first = await pixels(page);
      assert.ok(first.spread > 5);
      await page.getByRole('button', { name: 'Cửa sổ' }).click();
      await page.getByRole('menuitem', { name: /^Xương/ }).click();
      await page.waitForFunction(() => document.querySelector('[data-testid=window]')?.textContent === 'W 2000 · L 500');
      await page.getByTestId('picture').hover();
      await page.mouse.wheel(0, 120);
      await sliceShown(page, 2);
      assert.equal(await windowLabel(page), 'W 2000 · L 500');
    });
  } finally {
    await browser.close();
  }
}

const browser = await launch();
try {
  await onPc(browser);
  await onPhone(browser);
} finally {
  await browser.close();
}
await withoutWebGL();
assert.deepEqual(problems, [], 'the browser reported problems');
console.log('ok no script error and nothing refused by the content security policy');
