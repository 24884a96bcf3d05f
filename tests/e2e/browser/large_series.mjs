// A series of thousands of slices in the dashboard: its first picture, its last, all of it, and one in the middle.
//
//   MAYPACS_URL=… MAYPACS_USER=… MAYPACS_PASSWORD=… node tests/e2e/browser/large_series.mjs <study uid> <slices>
//
// The pictures are those of tests/support/large_series.py, which show their numbers. Prints one JSON line: what was read
// off the screen, seconds, requests, megabytes on the line and of memory. MAYPACS_SCREENSHOT=file keeps a picture.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../frontend/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const { MAYPACS_URL: url, MAYPACS_USER: user, MAYPACS_PASSWORD: password, CHROMIUM, MAYPACS_SCREENSHOT } = process.env;
const [study, count] = process.argv.slice(2);
const slices = Number(count);

/** The number that is on the screen: squares from the upper left on, the lowest bit first. */
async function numberOnScreen(page) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const { x, y, width, height } = await page.getByTestId('picture').boundingBox();
  const side = Math.min(width, height);
  const clip = { x: x + (width - side) / 2, y: y + (height - side) / 2, width: side, height: side };
  const png = (await page.screenshot({ clip })).toString('base64');
  return page.evaluate(async (data) => {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext('2d');
    context.drawImage(bitmap, 0, 0);
    let number = 0;
    for (let square = 0; square < 16; square += 1) {
      const [column, row] = [square % 4, Math.floor(square / 4)];
      const [left, top] = [((column + 0.35) * bitmap.width) / 4, ((row + 0.35) * bitmap.height) / 4];
      const { data: rgba } = context.getImageData(left, top, (0.3 * bitmap.width) / 4, (0.3 * bitmap.height) / 4);
      const greys = rgba.filter((_, index) => index % 4 === 1);
      if (greys.reduce((sum, grey) => sum + grey, 0) / greys.length > 127) number |= 1 << square;
    }
    return number;
  }, png);
}

const browser = await chromium.launch({
  executablePath: CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--enable-precise-memory-info'],
});
try {
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  page.setDefaultTimeout(300_000);
  const problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  const shown = (index) =>
    page.waitForFunction(
      (wanted) => document.querySelector('[data-testid=slice]')?.textContent?.includes(` ${wanted}/`),
      index,
    );
  await page.goto(`${url}/`);
  await page.locator('input[name=user]').fill(user);
  await page.locator('input[name=password]').fill(password);
  await page.locator('button[type=submit]').click();
  await page.locator('[data-study]').first().waitFor();
  await page.waitForLoadState('networkidle');
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  let [requests, received] = [0, 0];
  session.on('Network.responseReceived', ({ response }) => {
    if (/\/(dicomweb|blobs|api)\//.test(response.url)) requests += 1;
  });
  session.on('Network.loadingFinished', ({ encodedDataLength }) => (received += encodedDataLength));
  let start = performance.now();
  const since = () => Number(((performance.now() - start) / 1000).toFixed(2));
  await page.locator(`[data-study="${study}"]`).first().click();
  await shown(1);
  const seconds = { first: since() };
  const numbers = [await numberOnScreen(page)];
  await page.getByTestId('picture').focus();
  const jump = performance.now();
  await page.keyboard.press('End');
  await shown(slices);
  seconds.jump = Number(((performance.now() - jump) / 1000).toFixed(2));
  numbers.push(await numberOnScreen(page));
  await page.waitForFunction(() => document.querySelector('[data-complete=true]') !== null, null, { polling: 200 });
  seconds.all = since();
  const loaded = requests;
  // Back by ten, and by one: out of the memory, nothing is asked for.
  await page.keyboard.press('PageUp');
  await shown(slices - 10);
  await page.keyboard.press('ArrowUp');
  await shown(slices - 11);
  numbers.push(await numberOnScreen(page));
  if (MAYPACS_SCREENSHOT) await page.screenshot({ path: MAYPACS_SCREENSHOT, scale: 'css' });
  const memory = await page.evaluate(() => performance.memory.usedJSHeapSize);
  console.log(
    JSON.stringify({
      slices,
      numbers,
      ...seconds,
      requests: loaded,
      later: requests - loaded,
      megabytes: received / 1e6,
      heap: memory / 1e6,
      problems,
    }),
  );
} finally {
  await browser.close();
}
