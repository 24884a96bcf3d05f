import type { Client } from '../api/client';
import { type Dataset, type Element, TAG, text } from '../dicom/dataset';

/** Red, green and blue Palette Color Lookup Table Data (PS3.3 C.7.9). */
const PALETTES = ['00281201', '00281202', '00281203'] as const;
const descriptorOf = { '00281201': '00281101', '00281202': '00281102', '00281203': '00281103' } as const;

/**
 * A data set as the image loader needs it: it wants a modality, and palettes as numbers, where the DICOM JSON model has them
 * as bytes, inline or behind an address.
 */
export async function prepare(client: Client, dataset: Dataset, signal: AbortSignal): Promise<Dataset> {
  const prepared: Dataset = { ...dataset };
  if (text(dataset, TAG.Modality) === undefined) prepared[TAG.Modality] = { vr: 'CS', Value: ['OT'] };
  if (text(dataset, TAG.PhotometricInterpretation) !== 'PALETTE COLOR') return prepared;
  for (const tag of PALETTES) {
    const element = dataset[tag];
    if (element === undefined || element.Value !== undefined) continue;
    const entries = Number(dataset[descriptorOf[tag]]?.Value?.[0] ?? 0);
    const bytes = await bytesOf(client, element, signal);
    if (bytes !== null) prepared[tag] = { vr: 'US', Value: [...paletteEntries(bytes, entries)] };
  }
  return prepared;
}

/** The entries of a palette: 16-bit little endian words, or bytes when there are only as many bytes as entries. */
export function paletteEntries(bytes: Uint8Array, entries: number): number[] {
  // Zero stands for 65,536 entries.
  const count = entries === 0 ? 65_536 : entries;
  if (bytes.length < 2 * count) return [...bytes.subarray(0, count)];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: count }, (_, index) => view.getUint16(2 * index, true));
}

async function bytesOf(client: Client, element: Element, signal: AbortSignal): Promise<Uint8Array | null> {
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
