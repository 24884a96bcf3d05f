// What the scripts that drive a browser share: a headless Chromium, logging in, and reading the screen.
//
// Of the environment: MAYPACS_URL, MAYPACS_USER, MAYPACS_PASSWORD where a dashboard is opened; CHROMIUM names the browser.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../frontend/package.json', import.meta.url));
const { chromium } = require('playwright-core');

export const PC = { viewport: { width: 1440, height: 900 } };
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

export const setting = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
};

export const launch = (extra = []) =>
  chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', ...extra],
  });

export async function step(name, action) {
  await action();
  console.log(`ok ${name}`);
}

const NETWORK_NOISE = /Failed to load resource/;

/** A page of its own that adds to `problems` what goes wrong in it: script errors, what its security policy refuses. */
export async function open(browser, options, problems) {
  const context = await browser.newContext({ locale: 'vi-VN', timezoneId: 'Asia/Ho_Chi_Minh', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (error) => problems.push(`script error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !NETWORK_NOISE.test(message.text())) problems.push(`console: ${message.text()}`);
  });
  return page;
}

export const home = () => `${setting('MAYPACS_URL').replace(/\/$/, '')}/`;

/** To the list of studies. */
export async function logIn(page) {
  await page.goto(home());
  await page.locator('input[name=user]').fill(setting('MAYPACS_USER'));
  await page.locator('input[name=password]').fill(setting('MAYPACS_PASSWORD'));
  await page.locator('button[type=submit]').click();
  await page.locator('[data-study]').first().waitFor();
}

/** Counts, from now on, the answers of the server and the bytes that came with them. */
export async function traffic(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  const counted = { requests: 0, bytes: 0 };
  session.on('Network.responseReceived', ({ response }) => {
    if (/\/(dicomweb|blobs|api)\//.test(response.url)) counted.requests += 1;
  });
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    counted.bytes += encodedDataLength;
  });
  return counted;
}

/** Two frames on, so that what was drawn is on the screen. */
export const settled = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

/** Waits until the label of the shown slice says `index` (1-based); it changes only when the picture does. */
export async function sliceShown(page, index) {
  await page.waitForFunction(
    (wanted) => document.querySelector('[data-testid=slice]')?.textContent?.includes(` ${wanted}/`),
    index,
  );
  await settled(page);
}

/** Waits until every slice of the series is there. */
export const allLoaded = (page) =>
  page.waitForFunction(() => document.querySelector('[data-complete=true]') !== null, null, { polling: 200 });

/** The middle of an element, where no text lies over a picture. */
export async function middle(locator) {
  const box = await locator.boundingBox();
  return { x: box.x + box.width * 0.3, y: box.y + box.height * 0.3, width: box.width * 0.4, height: box.height * 0.4 };
}

/** What a part of the page shows: mean and spread of brightness, a fingerprint, and the colour in its middle. */
export async function pixels(page, clip) {
  const png = (await page.screenshot({ clip })).toString('base64');
  return page.evaluate(async (data) => {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext('2d');
    context.drawImage(bitmap, 0, 0);
    const { data: rgba } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    let [sum, squares, print] = [0, 0, 0];
    for (let i = 0; i < rgba.length; i += 4) {
      const grey = rgba[i + 1];
      sum += grey;
      squares += grey * grey;
      print = (Math.imul(print, 31) + grey) | 0;
    }
    const count = rgba.length / 4;
    const mean = sum / count;
    const centre = 4 * (Math.floor(bitmap.height / 2) * bitmap.width + Math.floor(bitmap.width / 2));
    return { mean, spread: Math.sqrt(squares / count - mean * mean), print, rgb: [...rgba.subarray(centre, centre + 3)] };
  }, png);
}

/** Polls until a picture is there: a spread of greys that no empty viewport has. */
export async function picture(page, locator, { seconds = 60 } = {}) {
  const until = Date.now() + seconds * 1000;
  let shown;
  do {
    shown = await pixels(page, await middle(locator));
    if (shown.spread > 5) return shown;
    await page.waitForTimeout(250);
  } while (Date.now() < until);
  throw new Error(`no picture: ${JSON.stringify(shown)}`);
}

/** The number that a picture of tests/support/large_series.py shows: squares from the upper left on, the lowest bit first. */
export async function numberOnScreen(page) {
  await settled(page);
  const { x, y, width, height } = await page.getByTestId('picture').boundingBox();
  const side = Math.min(width, height);
  const clip = { x: x + (width - side) / 2, y: y + (height - side) / 2, width: side, height: side };
  const png = (await page.screenshot({ clip, scale: 'css' })).toString('base64');
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
