// A series of thousands of slices in the dashboard: its first picture, its last, all of it, and one in the middle.
//
//   MAYPACS_URL=… MAYPACS_USER=… MAYPACS_PASSWORD=… node tests/e2e/browser/large_series.mjs <study uid> <slices> [phone]
//
// `phone`: a phone of 1 GiB, which cannot keep the series, goes through it. The pictures are those of
// tests/support/large_series.py, which show their numbers. Prints one JSON line: what was read off the screen, seconds,
// requests, megabytes on the line and of memory. MAYPACS_SCREENSHOT=file keeps a picture.
import { allLoaded, launch, logIn, numberOnScreen, open, PC, PHONE, sliceShown, traffic } from '../../support/browser.mjs';

const [study, count, device] = process.argv.slice(2);
const slices = Number(count);
const problems = [];
const rounded = (milliseconds) => Number((milliseconds / 1000).toFixed(2));

/** Seconds of the longest task of the page since it was opened, in which it answered to nothing. */
const watchTasks = () => {
  window.longestTask = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longestTask = Math.max(window.longestTask, duration);
  }).observe({ type: 'longtask', buffered: true });
};

async function openSeries(page) {
  await page.addInitScript(watchTasks);
  await logIn(page);
  await page.waitForLoadState('networkidle');
  page.setDefaultTimeout(300_000);
  const counted = await traffic(page);
  const start = performance.now();
  await page.locator(`[data-study="${study}"]`).first().click();
  await sliceShown(page, 1);
  return { counted, start, first: rounded(performance.now() - start) };
}

const heap = async (page) => (await page.evaluate(() => performance.memory.usedJSHeapSize)) / 1e6;
const longestTask = (page) => page.evaluate(() => window.longestTask / 1000);

async function onPc(browser) {
  const page = await open(browser, PC, problems);
  const { counted, start, first } = await openSeries(page);
  const numbers = [await numberOnScreen(page)];
  await page.getByTestId('picture').focus();
  const leap = performance.now();
  await page.keyboard.press('End');
  await sliceShown(page, slices);
  const jump = rounded(performance.now() - leap);
  numbers.push(await numberOnScreen(page));
  await allLoaded(page);
  const all = rounded(performance.now() - start);
  const { requests } = counted;
  // Back by ten, and by one: out of the memory, nothing is asked for.
  await page.keyboard.press('PageUp');
  await sliceShown(page, slices - 10);
  await page.keyboard.press('ArrowUp');
  await sliceShown(page, slices - 11);
  numbers.push(await numberOnScreen(page));
  if (process.env.MAYPACS_SCREENSHOT) await page.screenshot({ path: process.env.MAYPACS_SCREENSHOT, scale: 'css' });
  const later = counted.requests - requests;
  const seconds = { first, jump, all, longest: await longestTask(page) };
  return { slices, numbers, ...seconds, requests, later, megabytes: counted.bytes / 1e6, heap: await heap(page), problems };
}

/** By the keys through a part, by the slider to the end and back; `wrong`: pictures that are not what their label says. */
async function onPhone(browser) {
  const page = await open(browser, PHONE, problems);
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'deviceMemory', { get: () => 1 }));
  const { counted } = await openSeries(page);
  let [looked, most] = [0, 0];
  const wrong = [];
  const look = async (index) => {
    await sliceShown(page, index);
    const number = await numberOnScreen(page);
    if (number !== index) wrong.push([index, number]);
    looked += 1;
    most = Math.max(most, await page.locator('progress').evaluate(({ value }) => value));
  };
  await look(1);
  await page.getByTestId('picture').focus();
  for (let index = 11; index <= 251; index += 10) {
    await page.keyboard.press('PageDown');
    if (index % 50 === 1) await look(index);
    else await sliceShown(page, index);
  }
  const stops = [];
  for (let index = 800; index < slices; index += 800) stops.push(index);
  for (const index of [...stops, slices, ...stops.reverse(), 1]) {
    await page.locator('input[type=range]').fill(String(index));
    await look(index);
  }
  if (process.env.MAYPACS_SCREENSHOT) await page.screenshot({ path: process.env.MAYPACS_SCREENSHOT, scale: 'css' });
  return { slices, looked, wrong, most, requests: counted.requests, megabytes: counted.bytes / 1e6, heap: await heap(page), problems };
}

const browser = await launch(['--enable-precise-memory-info']);
try {
  console.log(JSON.stringify(await (device === 'phone' ? onPhone : onPc)(browser)));
} finally {
  await browser.close();
}
