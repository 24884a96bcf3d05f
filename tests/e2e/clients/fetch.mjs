// A browser page of another origin fetches from a DICOMweb root: CORS on answers, redirects and errors.
//
//   PAGE=http://localhost:1 ROOT=http://127.0.0.1:2/dicomweb/demo TOKEN=… STUDY=1.2.3 INSTANCE=/studies/… node tests/e2e/clients/fetch.mjs
import assert from 'node:assert/strict';
import { launch, setting, step } from '../../support/browser.mjs';

const [root, token, study, instance] = ['ROOT', 'TOKEN', 'STUDY', 'INSTANCE'].map(setting);
const anyDicom = 'multipart/related; type="application/dicom"; transfer-syntax=*';
const browser = await launch();
try {
  const page = await browser.newPage();
  await page.goto(setting('PAGE'));

  /** What the page's own script sees; a refusal by CORS is an error without a status. */
  const ask = (path, { method = 'GET', headers = {}, key = token, body } = {}) =>
    page.evaluate(
      async ([url, options]) => {
        try {
          const answer = await fetch(url, options);
          const text = await answer.arrayBuffer();
          return {
            status: answer.status,
            redirected: answer.redirected,
            url: answer.url,
            type: answer.headers.get('content-type'),
            headers: Object.fromEntries(answer.headers),
            bytes: text.byteLength,
            start: new TextDecoder('latin1').decode(text.slice(0, 400)),
          };
        } catch (error) {
          return { status: 0, error: String(error) };
        }
      },
      [root + path, { method, body, headers: { ...(key && { Authorization: `Bearer ${key}` }), ...headers } }],
    );

  await step('a search with a credential', async () => {
    const answer = await ask('/studies', { headers: { Accept: 'application/dicom+json' } });
    assert.equal(answer.status, 200, JSON.stringify(answer));
    assert.match(answer.type, /^application\/dicom\+json/);
  });
  await step('a cut list shows its warning to the page', async () => {
    const answer = await ask(`/studies/${study}/instances?limit=1`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.warning ?? '', /^299 /);
  });
  await step('a large study through a redirect', async () => {
    const answer = await ask(`/studies/${study}`, { headers: { Accept: anyDicom } });
    assert.equal(answer.status, 200, JSON.stringify(answer));
    assert.equal(answer.redirected, true);
    assert.ok(answer.url.includes('/blobs/'), answer.url);
    assert.match(answer.type, /^multipart\/related/);
    assert.ok(answer.bytes > 5_000_000);
    assert.ok(answer.headers.etag);
  });
  await step('a range of it', async () => {
    const whole = await ask(`/studies/${study}`, { headers: { Accept: anyDicom } });
    const part = await page.evaluate(async (url) => {
      const answer = await fetch(url, { headers: { Range: 'bytes=100-199' } });
      const range = answer.headers.get('content-range');
      return { status: answer.status, range, bytes: (await answer.arrayBuffer()).byteLength };
    }, whole.url);
    assert.deepEqual(part, { status: 206, range: `bytes 100-199/${whole.bytes}`, bytes: 100 });
  });
  await step('a frame as Cornerstone asks for it', async () => {
    const answer = await ask(`${instance}/frames/1`, {
      headers: { Accept: 'multipart/related; type=application/octet-stream; transfer-syntax=*' },
    });
    assert.equal(answer.status, 200);
    assert.ok(answer.start.includes('Content-Type:'), answer.start);
  });
  await step('hundreds of frames at once, half of them called off and asked for again', async () => {
    const lengths = await page.evaluate(
      async ([url, key]) => {
        const Accept = 'multipart/related; type=application/octet-stream; transfer-syntax=*';
        const frame = async (signal) => {
          const answer = await fetch(url, { headers: { Accept, Authorization: `Bearer ${key}` }, cache: 'no-store', signal });
          if (answer.status !== 200) throw new Error(`status ${answer.status}`);
          return (await answer.arrayBuffer()).byteLength;
        };
        const calledOff = new AbortController();
        const kept = Array.from({ length: 100 }, () => frame());
        const dropped = Array.from({ length: 100 }, () => frame(calledOff.signal).catch(() => 0));
        calledOff.abort();
        await Promise.all(dropped);
        return Promise.all([...kept, ...Array.from({ length: 100 }, () => frame())]);
      },
      [`${root}${instance}/frames/1`, token],
    );
    assert.equal(lengths.length, 200);
    assert.equal(new Set(lengths).size, 1);
  });
  await step('metadata again is 304 for the network and 200 for the page', async () => {
    const first = await ask(`${instance}/metadata`);
    const again = await ask(`${instance}/metadata`, { headers: { 'If-None-Match': first.headers.etag } });
    assert.equal(again.status, 304);
  });
  await step('errors are readable: 401, 404, 406', async () => {
    const refused = await ask('/studies', { key: 'mpk_wrong' });
    assert.equal(refused.status, 401, JSON.stringify(refused));
    assert.match(refused.type, /^application\/problem\+json/);
    assert.equal((await ask('/studies/1.2.3/metadata')).status, 404);
    assert.equal((await ask(instance, { headers: { Accept: 'text/csv' } })).status, 406);
  });
  await step('a STOW from the page', async () => {
    const answer = await ask('/studies', { method: 'POST', headers: { 'Content-Type': 'application/dicom' }, body: 'no DICOM' });
    assert.equal(answer.status, 409, JSON.stringify(answer));
    assert.match(answer.type, /^application\/dicom\+json/);
  });
} finally {
  await browser.close();
}
