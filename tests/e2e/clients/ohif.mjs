// OHIF's published build, on an origin of its own, opens a study of a node: the stack, then the MPR.
//
//   OHIF=http://localhost:1 DICOMWEB=http://127.0.0.1:2/dicomweb/demo TOKEN=… STUDY=1.2.3 node tests/e2e/clients/ohif.mjs
import assert from 'node:assert/strict';
import { launch, picture, setting, step } from '../../support/browser.mjs';

const [ohif, dicomweb, token, study] = ['OHIF', 'DICOMWEB', 'TOKEN', 'STUDY'].map(setting);
const browser = await launch();
const calls = [];
const failures = [];

/** A page in which every call to the archive is written down, and whatever of it the browser did not let through. */
async function open(query) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, locale: 'en-US' });
  page.setDefaultTimeout(60_000);
  page.on('response', (response) => {
    const request = response.request();
    if (!request.url().startsWith(dicomweb) || request.method() === 'OPTIONS') return;
    calls.push({ url: request.url(), status: response.status(), authorization: request.headers().authorization });
  });
  page.on('requestfailed', (request) => {
    // A viewer that is closed breaks its calls off.
    const why = request.failure()?.errorText ?? '';
    if (request.url().startsWith(dicomweb) && why !== 'net::ERR_ABORTED') failures.push(`${why} ${request.url()}`);
  });
  await page.goto(`${ohif}/viewer?StudyInstanceUIDs=${study}${query}&token=${token}`);
  return page;
}

try {
  await step('the stack shows a picture, and another one after a turn of the wheel', async () => {
    const page = await open('');
    const canvas = page.locator('.cornerstone-canvas').first();
    await canvas.waitFor();
    const first = await picture(page, canvas);
    await canvas.hover();
    const until = Date.now() + 30_000;
    let next = first;
    while (next.print === first.print && Date.now() < until) {
      await page.mouse.wheel(0, 120);
      await page.waitForTimeout(300);
      next = await picture(page, canvas);
    }
    assert.notEqual(next.print, first.print);
    await page.close();
  });
  await step('the MPR shows three planes with pictures', async () => {
    const page = await open('&hangingprotocolId=mpr');
    await page.waitForFunction(() => document.querySelectorAll('.cornerstone-canvas').length === 3);
    const prints = new Set();
    for (let plane = 0; plane < 3; plane += 1) {
      prints.add((await picture(page, page.locator('.cornerstone-canvas').nth(plane))).print);
    }
    assert.equal(prints.size, 3);
    await page.close();
  });
  await step('every call carried the token, and none failed', async () => {
    assert.ok(calls.length > 10, `${calls.length} calls`);
    for (const { url, status, authorization } of calls) {
      assert.equal(authorization, `Bearer ${token}`, url);
      assert.ok(status < 400, `${status} ${url}`);
    }
    assert.deepEqual(failures, []);
    const kinds = ['/metadata', '/frames/', '/series?'].filter((kind) => calls.some(({ url }) => url.includes(kind)));
    assert.deepEqual(kinds, ['/metadata', '/frames/', '/series?']);
  });
} finally {
  await browser.close();
}
