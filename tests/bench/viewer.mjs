// A study opened in the dashboard: by the frame (the route of the packs is blocked) and by packs.
//
//   MAYPACS_URL=… MAYPACS_USER=… MAYPACS_PASSWORD=… node tests/bench/viewer.mjs '[["CT", "<study uid>", 500], …]'
//
// Prints one JSON line a row: seconds from the click's navigation to the first picture and to the last, requests, bytes.
import { allLoaded, launch, logIn, open, PC, traffic } from '../support/browser.mjs';

const studies = JSON.parse(process.argv[2]);

const browser = await launch();
try {
  for (const [name, study, slices] of studies) {
    for (const way of ['frames', 'packs']) {
      const page = await open(browser, PC, []);
      page.setDefaultTimeout(900_000);
      if (way === 'frames') await page.route('**/packs', (route) => route.abort());
      await logIn(page);
      await page.waitForLoadState('networkidle');
      const counted = await traffic(page);
      const start = performance.now();
      const since = () => Number(((performance.now() - start) / 1000).toFixed(2));
      await page.locator(`[data-study="${study}"]`).first().click();
      await page.getByTestId('slice').waitFor();
      await page.waitForFunction(() => document.querySelector('[data-testid=window]') !== null);
      const first = since();
      await allLoaded(page);
      const row = { name, way, slices, first, all: since(), requests: counted.requests, megabytes: counted.bytes / 1e6 };
      console.log(JSON.stringify(row));
      await page.context().close();
    }
  }
} finally {
  await browser.close();
}
