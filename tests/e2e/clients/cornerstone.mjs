// Opens the page that decodes (cornerstone/page.mjs) on an origin of its own; reads requests and writes findings as JSON.
//
//   PAGE=http://localhost:1 REQUESTS=requests.json FINDINGS=findings.json node tests/e2e/clients/cornerstone.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { launch, setting, step } from '../../support/browser.mjs';

const SECONDS_PER_PICTURE = 20;

const browser = await launch();
try {
  await step('frames are decoded', async () => {
    const page = await browser.newPage();
    const faults = [];
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(setting('PAGE'));
    await page.waitForFunction(() => window.decodeAll !== undefined);
    const requests = JSON.parse(readFileSync(setting('REQUESTS'), 'utf8'));
    const findings = await page.evaluate(([all, seconds]) => window.decodeAll(all, seconds), [requests, SECONDS_PER_PICTURE]);
    writeFileSync(setting('FINDINGS'), JSON.stringify({ findings, faults }));
  });
} finally {
  await browser.close();
}
