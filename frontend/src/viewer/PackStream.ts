import { chunksOf } from '../api/chunks';
import { cut, nextSegment, type PackedFrame, placeNear } from './packs';
import { type Span, within } from './prefetch';

/** Frames that came and are not decoded yet: with so many, reading waits. */
export const UNDECODED = 16;
/** A slice that comes within so many bytes is waited for: another request would not be faster. */
const SOON_BYTES = 4 << 20;
/**
 * A person who goes on within so many slices does not turn the stream again: what is missing there is asked for by itself.
 * Without that each step would cut off a request where neighbours lie far apart (one place at many times, packed time by
 * time), or when the person goes backwards.
 */
const NEAR = 16;

export interface PackStreamParts {
  /** In the order of `packedFrames`. */
  frames: readonly PackedFrame[];
  /** Asks for bytes of a pack. */
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Whether a slice is there already. */
  has: (index: number) => boolean;
  /** The slices that the memory holds around one. */
  span: (index: number) => Span;
  /** A frame came; settles when it is decoded. */
  deliver: (frame: PackedFrame, bytes: Uint8Array) => Promise<unknown>;
  /** Reading has stopped: all of the span was read, or the packs cannot be had (`failed`). */
  onEnd: () => void;
}

/**
 * Reads the packs of a series as streams, from where the person is, as far as the memory reaches; turns to where the person
 * goes. When little is left on one side of the person, the next stretch is read in one go, not slice by slice.
 */
export class PackStream {
  readonly #parts: PackStreamParts;
  readonly #byIndex: ReadonlyMap<number, PackedFrame>;
  /** Came, and could not be decoded. */
  readonly #undecodable = new Set<number>();
  #abort = new AbortController();
  #at = 0;
  /** Where the person was when reading last began anew. */
  #turned = 0;
  #running = false;
  /** What is read now, and the end of what came of it. */
  #reading: { url: string; from: number; to: number } | null = null;
  #failed = false;

  constructor(parts: PackStreamParts) {
    this.#parts = parts;
    this.#byIndex = new Map(parts.frames.map((frame) => [frame.index, frame]));
  }

  /** The packs cannot be had: a network that is away, addresses that are no longer good. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Whether a slice comes out of the packs when the person is near; else it is to be asked for by itself. */
  brings(index: number): boolean {
    return !this.#failed && this.#byIndex.has(index) && !this.#undecodable.has(index);
  }

  /** The person is here: reads on, turns, or begins again. */
  from(index: number): void {
    const back = index < this.#at && this.#at - index <= NEAR;
    this.#at = index;
    if (this.#failed) return;
    if (this.#running) {
      if (this.#parts.has(index) || this.#comesSoon(index) || Math.abs(index - this.#turned) < NEAR) return;
    } else if (!this.#runsLow(index)) return;
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#turned = index;
    // Packs are read forwards: for who steps backwards, from the beginning of what is wanted before this slice.
    const before = this.#parts.has(index) ? this.#parts.span(index).first : index - NEAR;
    void this.#read(back ? before : index, this.#abort.signal);
  }

  stop(): void {
    this.#failed = true;
    this.#abort.abort();
  }

  #comesSoon(index: number): boolean {
    const frame = this.#byIndex.get(index);
    if (frame === undefined) return true; // in no pack: it is asked for by itself
    const now = this.#reading;
    return now?.url === frame.url && frame.offset >= now.from && frame.offset < Math.min(now.to, now.from + SOON_BYTES);
  }

  #isMissing(index: number): boolean {
    return this.brings(index) && !this.#parts.has(index);
  }

  /** Whether something is missing within a quarter of the span before or after the slice. */
  #runsLow(index: number): boolean {
    const { first, last } = this.#parts.span(index);
    const margin = Math.max(1, Math.ceil((last - first) / 4));
    for (let near = Math.max(first, index - margin); near <= Math.min(last, index + margin); near += 1) {
      if (this.#isMissing(near)) return true;
    }
    return false;
  }

  async #read(start: number, signal: AbortSignal): Promise<void> {
    this.#running = true;
    const { frames, span } = this.#parts;
    // What was let go again is not read again before the person moves.
    const read = new Set<number>();
    try {
      let place: number | null = null;
      for (;;) {
        const kept = span(this.#at);
        const wanted = (index: number) => within(kept, index) && !read.has(index) && this.#isMissing(index);
        const found = nextSegment(frames, place ?? placeNear(frames, start, wanted), wanted);
        if (found === null) break;
        place = found.next;
        await this.#readSegment(found.segment, signal, read);
        if (signal.aborted) return;
      }
    } catch {
      // Those who want a slice ask for it, and say what is wrong.
      if (signal.aborted) return;
      this.#failed = true;
    }
    this.#running = false;
    this.#reading = null;
    this.#parts.onEnd();
  }

  async #readSegment(segment: readonly PackedFrame[], signal: AbortSignal, read: Set<number>): Promise<void> {
    const [first, last] = [segment[0], segment.at(-1)];
    if (first === undefined || last === undefined) return;
    const reading = { url: first.url, from: first.offset, to: last.offset + last.length };
    this.#reading = reading;
    const headers = { Range: `bytes=${reading.from}-${reading.to - 1}` };
    const response = await this.#parts.fetch(first.url, { headers, signal });
    // A store that does not know ranges answers the whole.
    if (response.body === null || (response.status !== 206 && response.status !== 200)) throw new Error('no pack');
    const undecoded = new Set<Promise<unknown>>();
    const start = response.status === 206 ? first.offset : 0;
    for await (const { frame, bytes } of cut(segment, chunksOf(response.body), start)) {
      if (signal.aborted) return;
      reading.from = frame.offset + frame.length;
      read.add(frame.index);
      const decoding = this.#parts.deliver(frame, bytes).catch(() => this.#undecodable.add(frame.index));
      undecoded.add(decoding);
      void decoding.finally(() => undecoded.delete(decoding));
      if (undecoded.size >= UNDECODED) await Promise.race(undecoded);
    }
    await Promise.all(undecoded);
  }
}
