// What the scripts of this folder share: a headless Chromium, steps, and what a part of the screen shows.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../frontend/package.json', import.meta.url));
const { chromium } = require('playwright-core');

export const setting = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
};

export const launch = () =>
  chromium.launch({ executablePath: setting('CHROMIUM'), args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });

export async function step(name, action) {
  await action();
  console.log(`ok ${name}`);
}

/** Brightness of a part of the page, as on the screen: mean, spread, and a fingerprint. */
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
    return { mean, spread: Math.sqrt(squares / count - mean * mean), print };
  }, png);
}

/** The middle of an element, where no text lies over a picture. */
export async function middle(locator) {
  const box = await locator.boundingBox();
  return { x: box.x + box.width * 0.3, y: box.y + box.height * 0.3, width: box.width * 0.4, height: box.height * 0.4 };
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
