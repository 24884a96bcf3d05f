import type { Client } from '../api/client';
import { type Dataset, type Element, TAG, text } from '../dicom/dataset';

/** The most entries that a palette has; a descriptor writes it as 0. */
const MAX_ENTRIES = 65_536;

/** Of each colour: descriptor, data and segmented data of its Palette Color Lookup Table (PS3.3 C.7.6.3.1.5, C.7.9.2). */
const PALETTES = [
  ['00281101', '00281201', '00281221'],
  ['00281102', '00281202', '00281222'],
  ['00281103', '00281203', '00281223'],
] as const;

/**
 * A data set as the image loader needs it: it wants a modality, and palettes as numbers, where the DICOM JSON model has them
 * as bytes, inline or behind an address, and sometimes in segments.
 */
export async function prepare(client: Client, dataset: Dataset, signal: AbortSignal): Promise<Dataset> {
  const isPalette = text(dataset, TAG.PhotometricInterpretation) === 'PALETTE COLOR';
  const hasModality = text(dataset, TAG.Modality) !== undefined;
  if (hasModality && !isPalette) return dataset;
  const prepared: Dataset = { ...dataset };
  if (!hasModality) prepared[TAG.Modality] = { vr: 'CS', Value: ['OT'] };
  if (!isPalette) return prepared;
  for (const [descriptor, data, segmented] of PALETTES) {
    const entries = Number(dataset[descriptor]?.Value?.[0] ?? 0);
    const bytes = await bytesOf(client, dataset[data], signal);
    const segments = bytes === null ? await bytesOf(client, dataset[segmented], signal) : null;
    if (bytes !== null) prepared[data] = { vr: 'US', Value: paletteEntries(bytes, entries) };
    else if (segments !== null) prepared[data] = { vr: 'US', Value: expandSegments(words(segments)) };
  }
  return prepared;
}

function words(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length >> 1 }, (_, index) => view.getUint16(2 * index, true));
}

/**
 * The entries that segments stand for (PS3.3 C.7.9.2): 0 lists values, 1 runs evenly to a value from the last one, 2 repeats
 * earlier segments. Stops at what is cut short or unknown.
 */
export function expandSegments(segments: readonly number[]): number[] {
  const entries: number[] = [];
  /** One segment at `at`; where the next begins, or null at the end. Copied segments copy no further. */
  const expand = (at: number, copying: boolean): number | null => {
    const [kind, length] = [segments[at], segments[at + 1]];
    if (kind === undefined || length === undefined) return null;
    if (kind === 0) {
      entries.push(...segments.slice(at + 2, at + 2 + length));
      return at + 2 + length;
    }
    const value = segments[at + 2];
    if (value === undefined) return null;
    if (kind === 1) {
      const from = entries.at(-1) ?? 0;
      for (let step = 1; step <= length; step += 1) entries.push(Math.round(from + ((value - from) * step) / length));
      return at + 3;
    }
    const high = segments[at + 3];
    if (kind !== 2 || copying || high === undefined) return null;
    // The offset is in bytes from the first segment, low word first.
    let copied: number | null = (high * 65_536 + value) >> 1;
    for (let count = 0; count < length && copied !== null && entries.length < MAX_ENTRIES; count += 1)
      copied = expand(copied, true);
    return at + 4;
  };
  let at: number | null = 0;
  while (at !== null && entries.length < MAX_ENTRIES) at = expand(at, false);
  return entries;
}

/** The entries of a palette: 16-bit little endian words, or bytes when there are only as many bytes as entries. */
export function paletteEntries(bytes: Uint8Array, entries: number): number[] {
  const count = entries === 0 ? MAX_ENTRIES : entries;
  if (bytes.length < 2 * count) return [...bytes.subarray(0, count)];
  return words(bytes).slice(0, count);
}

async function bytesOf(client: Client, element: Element | undefined, signal: AbortSignal): Promise<Uint8Array | null> {
  if (element === undefined) return null;
  if (element.InlineBinary !== undefined) {
    return Uint8Array.from(atob(element.InlineBinary), (character) => character.charCodeAt(0));
  }
  if (element.BulkDataURI === undefined) return null;
  // The path alone: the token goes to no other origin than our own.
  const { pathname, search } = new URL(element.BulkDataURI, window.location.origin);
  const response = await client.request(pathname + search, {
    headers: { Accept: 'multipart/related; type="application/octet-stream"' },
    signal,
  });
  const body = new Uint8Array(await response.arrayBuffer());
  return firstPart(body, response.headers.get('Content-Type') ?? '');
}

/** The body of the first part of a multipart message (RFC 2046 5.1.1); a message of another type is its own body. */
export function firstPart(message: Uint8Array, contentType: string): Uint8Array {
  if (!/^multipart\//i.test(contentType)) return message;
  const boundary = /boundary="?([^";]+)"?/i.exec(contentType)?.[1];
  if (boundary === undefined) return message;
  const encoder = new TextEncoder();
  const start = indexOf(message, encoder.encode('\r\n\r\n'), 0);
  const end = start < 0 ? -1 : indexOf(message, encoder.encode(`\r\n--${boundary}`), start + 4);
  return end < 0 ? message : message.subarray(start + 4, end);
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  for (let index = from; index + wanted.length <= bytes.length; index += 1) {
    if (wanted.every((byte, offset) => bytes[index + offset] === byte)) return index;
  }
  return -1;
}
