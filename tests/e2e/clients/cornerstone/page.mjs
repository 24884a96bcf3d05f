// Decodes frames of an archive with Cornerstone3D's dicom-image-loader, as any viewer made of it does, and tells about them.
import { imageLoader as loaders, init } from '@cornerstonejs/core';
import imageLoader from '@cornerstonejs/dicom-image-loader';

/** Sums that pydicom's pixels must give too; exact in doubles for pictures of up to some ten million values. */
function summary(image) {
  const all = image.getPixelData();
  // A picture in colours has an opacity beside them when the browser decoded it.
  const [stored, wanted] = image.color ? [all.length / (image.rows * image.columns), 3] : [1, 1];
  let [min, max, sum, weighted, index] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0];
  for (let i = 0; i < all.length; i += 1) {
    if (i % stored >= wanted) continue;
    const value = all[i];
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    weighted += value * ((index % 1021) + 1);
    index += 1;
  }
  return { min, max, sum, weighted, count: index, type: all.constructor.name, color: Boolean(image.color) };
}

const PALETTES = ['00281201', '00281202', '00281203'];

/** Palettes as numbers: the loader reads them neither from InlineBinary, which is what OW is in DICOM JSON, nor by URI. */
async function withPalettes(dataset) {
  for (const tag of PALETTES) {
    const { InlineBinary: inline, BulkDataURI: uri } = dataset[tag] ?? {};
    let bytes;
    if (inline) bytes = Uint8Array.from(atob(inline), (character) => character.charCodeAt(0)).buffer;
    if (uri) {
      const headers = { Accept: 'application/octet-stream', Authorization: `Bearer ${credential}` };
      bytes = await (await fetch(uri, { headers })).arrayBuffer();
    }
    if (bytes) dataset[tag] = { vr: 'US', Value: [...new Uint16Array(bytes)] };
  }
  return dataset;
}

/** The name of a frame by WADO-RS, whose loader is given the metadata. */
async function byWadoRs({ root, token, url, frame }) {
  const answer = await fetch(`${root}${url}/metadata`, {
    headers: { Accept: 'application/dicom+json', Authorization: `Bearer ${token}` },
  });
  const [dataset] = await answer.json();
  // Without a modality (some samples have none) the loader's provider of metadata throws, and nobody is told.
  dataset['00080060'] ??= { vr: 'CS', Value: ['OT'] };
  const imageId = `wadors:${root}${url}/frames/${frame}`;
  imageLoader.wadors.metaDataManager.add(imageId, await withPalettes(dataset));
  return imageId;
}

/** The name of an instance by WADO-URI, whose loader takes the whole file apart itself. */
const byWadoUri = ({ root, uri }) => `wadouri:${root}/wado?${uri}`;

async function decode(request, seconds) {
  const imageId = request.uri ? byWadoUri(request) : await byWadoRs(request);
  // The loader never answers for some pictures that it cannot decode.
  const never = new Promise((_, reject) => setTimeout(() => reject(new Error('not decoded in time')), seconds * 1000));
  const image = await Promise.race([loaders.loadAndCacheImage(imageId, { preScale: { enabled: false } }), never]);
  return summary(image);
}

init();
let credential = '';
imageLoader.init({
  maxWebWorkers: 2,
  beforeSend: async (_xhr, _imageId, headers) => ({ ...headers, Authorization: `Bearer ${credential}` }),
});

window.decodeAll = async (requests, seconds) => {
  const found = [];
  for (const request of requests) {
    credential = request.token;
    try {
      found.push(await decode(request, seconds));
    } catch (error) {
      found.push({ error: String(error?.error?.message ?? error?.message ?? error) });
    }
  }
  return found;
};
