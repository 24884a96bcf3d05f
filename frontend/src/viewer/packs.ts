import type { Pack } from '../api/pacs';
import { TAG, text } from '../dicom/dataset';
import type { Frame } from './frames';

/** A frame inside a pack: bytes [offset, offset + length) of the object behind `url`. */
export interface PackedFrame {
  /** Its place in the series as it is read, 0-based. */
  index: number;
  url: string;
  offset: number;
  length: number;
  transferSyntax: string;
}

/** What one request reads: frames of one pack, by offset. */
export type Segment = readonly PackedFrame[];

/**
 * More bytes than this between two frames that are wanted are not read only to be thrown away: about what a line of 20 to 40
 * Mbit/s brings in the time of one more request.
 */
const GAP_BYTES = 128 << 10;

/** The frames of a series that lie in packs, by pack and offset. Frames without a place are not among them. */
export function packedFrames(packs: readonly Pack[], frames: readonly Frame[]): PackedFrame[] {
  const indices = new Map(
    frames.map(({ dataset, frame }, index) => [`${text(dataset, TAG.SOPInstanceUID)}/${frame}`, index]),
  );
  return packs.flatMap(({ url, instances }) => {
    const found: PackedFrame[] = [];
    for (const { uid, transferSyntax, runs } of instances) {
      let frame = 0;
      for (const [first, length, count] of runs) {
        for (let place = 0; place < count; place += 1) {
          frame += 1;
          const index = indices.get(`${uid}/${frame}`);
          if (index !== undefined) found.push({ index, url, offset: first + place * length, length, transferSyntax });
        }
      }
    }
    return found.sort((one, other) => one.offset - other.offset);
  });
}

/** The place in `frames` of the wanted one that is nearest to a slice; 0 when none is wanted. */
export function placeNear(frames: readonly PackedFrame[], start: number, wanted: (index: number) => boolean): number {
  let best = 0;
  let distance = Number.POSITIVE_INFINITY;
  frames.forEach(({ index }, place) => {
    if (Math.abs(index - start) >= distance || !wanted(index)) return;
    [best, distance] = [place, Math.abs(index - start)];
  });
  return best;
}

/**
 * What the next request reads, and the place after it: wanted frames of one pack, from the first at or after `place` on, or
 * from the very first when none comes after it. Null when nothing is wanted. `frames` are in the order of `packedFrames`.
 */
export function nextSegment(
  frames: readonly PackedFrame[],
  place: number,
  wanted: (index: number) => boolean,
): { segment: Segment; next: number } | null {
  const isWanted = (frame: PackedFrame, at: number) => at >= place && wanted(frame.index);
  let at = frames.findIndex(isWanted);
  if (at < 0) at = frames.findIndex(({ index }) => wanted(index));
  const segment: PackedFrame[] = [];
  let end = 0;
  for (let frame = frames[at]; frame !== undefined; frame = frames[at]) {
    const [first] = segment;
    if (first !== undefined && (frame.url !== first.url || frame.offset - end > GAP_BYTES)) break;
    // The same bytes twice: a pack that says so is read twice.
    if (first !== undefined && frame.offset < end) break;
    if (wanted(frame.index)) {
      segment.push(frame);
      end = frame.offset + frame.length;
    }
    at += 1;
  }
  return segment.length === 0 ? null : { segment, next: at };
}

/** Cuts the frames of a segment out of the stream that answers it; each in a buffer of its own, which a worker may take. */
export async function* cut(
  segment: Segment,
  body: AsyncIterable<Uint8Array>,
  bodyStart: number,
): AsyncGenerator<{ frame: PackedFrame; bytes: Uint8Array }> {
  const last = segment.at(-1);
  const end = last === undefined ? bodyStart : last.offset + last.length;
  let position = bodyStart;
  let next = 0;
  let bytes: Uint8Array | null = null;
  for await (const chunk of body) {
    for (let frame = segment[next]; frame !== undefined; frame = segment[next]) {
      const from = Math.max(frame.offset, position);
      const to = Math.min(frame.offset + frame.length, position + chunk.length);
      if (from < to) {
        bytes ??= new Uint8Array(frame.length);
        bytes.set(chunk.subarray(from - position, to - position), from - frame.offset);
      }
      if (frame.offset + frame.length > position + chunk.length) break;
      next += 1;
      if (bytes !== null) yield { frame, bytes };
      bytes = null;
    }
    position += chunk.length;
    // What is over is not wanted: a whole pack, where a range was asked for. An answer that ends here is read to its end,
    // or the browser would take it for one that was broken off, and close the connection.
    if (next >= segment.length && position > end) return;
  }
  if (next < segment.length) throw new Error('the pack ended too early');
}
