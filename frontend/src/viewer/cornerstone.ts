import {
  cache,
  type Enums,
  imageLoadPoolManager,
  init as initCore,
  imageLoader as loaders,
  metaData,
  type Types,
} from '@cornerstonejs/core';
import imageLoader from '@cornerstonejs/dicom-image-loader';
import { addTool, init as initTools, PanTool, WindowLevelTool, ZoomTool } from '@cornerstonejs/tools';
import type { Client } from '../api/client';
import type { Frame } from './frames';
import { cacheBytes } from './memory';
import { firstPart } from './prepare';

const { deviceMemory } = navigator as { deviceMemory?: number };
/** Bytes of decoded pictures kept: a tab that takes much more than its share of the memory is killed. */
export const CACHE_BYTES = cacheBytes(matchMedia('(pointer: coarse)').matches, deviceMemory);
const WORKERS = Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1));

let started = false;
const announced = new Set<string>();
const inFlight = new Set<Promise<unknown>>();

/** Starts Cornerstone once a page; frames are asked for with the token of the moment. */
export function startCornerstone(client: Client): void {
  if (started) return;
  started = true;
  initCore();
  initTools();
  cache.setMaxCacheSize(CACHE_BYTES);
  imageLoader.init({
    maxWebWorkers: WORKERS,
    onloadend: (_event, params) => arrived.get((params as { imageId: string }).imageId)?.(),
    beforeSend: async (_xhr, _imageId, headers) => ({ ...headers, Authorization: `Bearer ${await client.token()}` }),
  });
  loaders.registerImageLoader('wadors', (imageId, options) => {
    const image = fromPack(imageId, options) ?? askFor(imageId, options);
    return { ...image, promise: image.promise.then((found) => rightColours(client, imageId, found, options)) };
  });
  for (const tool of [WindowLevelTool, PanTool, ZoomTool]) addTool(tool);
}

type LoadObject = Types.IImageLoadObject;
type LoaderOptions = Record<string, unknown> | undefined;
/** Asks the server for a frame. */
const askFor = imageLoader.wadors.loadImage as unknown as (imageId: string, options: LoaderOptions) => LoadObject;

interface Delivered {
  bytes: Uint8Array;
  transferSyntax: string;
}

/** Frames that came in packs, by the name of the picture, until they are decoded. */
const delivered = new Map<string, Delivered>();

/** Decodes a frame that came in a pack; undefined when it did not. */
function fromPack(imageId: string, options: LoaderOptions): LoadObject | undefined {
  const frame = delivered.get(imageId);
  if (frame === undefined) return undefined;
  delivered.delete(imageId);
  arrived.get(imageId)?.();
  const decoding = imageLoader.createImage(imageId, frame.bytes, frame.transferSyntax, options);
  return { promise: (decoding as Promise<Types.IImage>).then((image) => withSyntax(image, frame.transferSyntax)) };
}

/** As the loader's own pictures say it. */
const withSyntax = (image: Types.IImage, transferSyntaxUID: string): Types.IImage =>
  Object.assign(image, { transferSyntaxUID });

const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';

/**
 * A browser takes every JPEG of three colours for YCbCr; one that is said to hold RGB is asked for again, decoded by the
 * server, which looks at what it really holds.
 */
async function rightColours(
  client: Client,
  imageId: string,
  image: Types.IImage,
  options: LoaderOptions,
): Promise<Types.IImage> {
  const { transferSyntaxUID } = image as { transferSyntaxUID?: string };
  const { photometricInterpretation } = metaData.get('imagePixelModule', imageId) ?? {};
  if (transferSyntaxUID !== JPEG_BASELINE || photometricInterpretation !== 'RGB') return image;
  const { pathname } = new URL(imageId.slice(imageId.indexOf(':') + 1));
  const accept = `multipart/related; type="application/octet-stream"; transfer-syntax=${EXPLICIT_LITTLE_ENDIAN}`;
  const response = await client.request(pathname, { headers: { Accept: accept } });
  const body = firstPart(new Uint8Array(await response.arrayBuffer()), response.headers.get('Content-Type') ?? '');
  return (await imageLoader.createImage(imageId, body.slice(), EXPLICIT_LITTLE_ENDIAN, options)) as Types.IImage;
}

/** Decodes a frame that came in a pack, unless the picture is there or on its way already. */
export async function decode(imageId: string, frame: Delivered, options: LoadOptions): Promise<Types.IImage> {
  if (cache.getImageLoadObject(imageId) === undefined) delivered.set(imageId, frame);
  try {
    return await loadImage(imageId, options);
  } finally {
    delivered.delete(imageId);
  }
}

/** Gives the loader the data sets it reads geometry, windows and pixel format from; before the first frame is asked for. */
export function announce(frames: readonly Frame[]): void {
  for (const { imageId, dataset } of frames) {
    announced.add(imageId);
    imageLoader.wadors.metaDataManager.add(
      imageId,
      dataset as Parameters<typeof imageLoader.wadors.metaDataManager.add>[1],
    );
  }
}

interface LoadOptions {
  requestType: Enums.RequestType;
  priority: number;
}

/** How long a picture may be decoded once its bytes are there. */
const DECODE_MS = 20_000;
/** What to do when the bytes of a picture have come, by its name. */
const arrived = new Map<string, () => void>();

/**
 * The decoded picture, from the cache or the server. The loader never answers for some pictures that it cannot decode: they
 * are given up some time after their bytes came.
 */
export async function loadImage(imageId: string, options: LoadOptions): Promise<Types.IImage> {
  let timer = 0;
  const givenUp = new Promise<never>((_, reject) => {
    arrived.set(imageId, () => {
      timer = window.setTimeout(() => {
        if (cache.getImageLoadObject(imageId) !== undefined) cache.removeImageLoadObject(imageId, { force: true });
        reject(new Error('the picture was not decoded in time'));
      }, DECODE_MS);
    });
  });
  const loading = Promise.race([loaders.loadAndCacheImage(imageId, options), givenUp]);
  inFlight.add(loading);
  try {
    return await loading;
  } finally {
    window.clearTimeout(timer);
    arrived.delete(imageId);
    inFlight.delete(loading);
  }
}

/**
 * Forgets every picture announced so far and what is known of them, at the end of a study. Pictures still on their way are
 * waited for: the decoder asks for their data sets when they arrive.
 */
export async function forgetImages(): Promise<void> {
  imageLoadPoolManager.clearRequestStack('prefetch');
  const ids = [...announced];
  announced.clear();
  delivered.clear();
  await Promise.allSettled([...inFlight]);
  for (const imageId of ids) {
    if (announced.has(imageId)) continue;
    if (cache.getImageLoadObject(imageId) !== undefined) cache.removeImageLoadObject(imageId, { force: true });
    imageLoader.wadors.metaDataManager.remove(imageId);
  }
}
