// A study opened in the dashboard: by the frame (the route of the packs is blocked) and by packs.
//
//   MAYPACS_URL=… MAYPACS_USER=… MAYPACS_PASSWORD=… node tests/bench/viewer.mjs '[["CT", "<study uid>", 500], …]'
//
// Prints one JSON line a row: seconds from the click's navigation to the first picture and to the last, requests, bytes.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../frontend/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const { MAYPACS_URL: url, MAYPACS_USER: user, MAYPACS_PASSWORD: password, CHROMIUM } = process.env;
const studies = JSON.parse(process.argv[2]);

const browser = await chromium.launch({
  executablePath: CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
try {
  for (const [name, study, slices] of studies) {
    for (const way of ['frames', 'packs']) {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
      const page = await context.newPage();
      page.setDefaultTimeout(900_000);
      if (way === 'frames') await page.route('**/packs', (route) => route.abort());
      await page.goto(`${url}/`);
      await page.locator('input[name=user]').fill(user);
      await page.locator('input[name=password]').fill(password);
      await page.locator('button[type=submit]').click();
      await page.locator('[data-study]').first().waitFor();
      await page.waitForLoadState('networkidle');
      const session = await context.newCDPSession(page);
      await session.send('Network.enable');
      let [requests, received] = [0, 0];
      session.on('Network.responseReceived', ({ response }) => {
        if (/\/(dicomweb|blobs|api)\//.test(response.url)) requests += 1;
      });
      session.on('Network.loadingFinished', ({ encodedDataLength }) => (received += encodedDataLength));
      const start = performance.now();
      const since = () => Number(((performance.now() - start) / 1000).toFixed(2));
      await page.locator(`[data-study="${study}"]`).first().click();
      await page.getByTestId('slice').waitFor();
      await page.waitForFunction(() => document.querySelector('[data-testid=window]') !== null);
      const first = since();
      await page.waitForFunction(() => document.querySelector('[data-complete=true]') !== null, null, { polling: 200 });
      console.log(JSON.stringify({ name, way, slices, first, all: since(), requests, megabytes: received / 1e6 }));
      await context.close();
    }
  }
} finally {
  await browser.close();
}
