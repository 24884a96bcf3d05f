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

/** More bytes than this between two frames that are wanted are not read only to be thrown away. */
const GAP_BYTES = 1 << 20;

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

/**
 * The requests that read `wanted` (in the order of `packedFrames`): from the frame at `start` to the end of its pack, then the
 * packs after it, and last what comes before it.
 */
export function segmentsFrom(wanted: readonly PackedFrame[], start: number): Segment[] {
  const at = Math.max(0, nearest(wanted, start));
  const segments: PackedFrame[][] = [];
  let last: PackedFrame | null = null;
  for (const frame of [...wanted.slice(at), ...wanted.slice(0, at)]) {
    const follows: boolean =
      last !== null &&
      last.url === frame.url &&
      frame.offset >= last.offset + last.length &&
      frame.offset - (last.offset + last.length) <= GAP_BYTES;
    if (follows) segments.at(-1)?.push(frame);
    else segments.push([frame]);
    last = frame;
  }
  return segments;
}

/** The place in `wanted` of the slice nearest to the one at `start`; -1 when nothing is wanted. */
function nearest(wanted: readonly PackedFrame[], start: number): number {
  let best = -1;
  let distance = Number.POSITIVE_INFINITY;
  wanted.forEach(({ index }, place) => {
    if (Math.abs(index - start) < distance) [best, distance] = [place, Math.abs(index - start)];
  });
  return best;
}

/** Cuts the frames of a segment out of the stream that answers it; each in a buffer of its own, which a worker may take. */
export async function* cut(
  segment: Segment,
  body: AsyncIterable<Uint8Array>,
  bodyStart: number,
): AsyncGenerator<{ frame: PackedFrame; bytes: Uint8Array }> {
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
  }
  if (next < segment.length) throw new Error('the pack ended too early');
}
