import { cut, type PackedFrame, segmentsFrom } from './packs';

/** Frames that came and are not decoded yet: with so many, reading waits. */
export const UNDECODED = 16;
/** A slice that comes within so many bytes is waited for: another request would not be faster. */
const SOON_BYTES = 4 << 20;

export interface PackStreamParts {
  /** In the order of `packedFrames`. */
  frames: readonly PackedFrame[];
  /** Asks for bytes of a pack. */
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Whether a slice is there already. */
  has: (index: number) => boolean;
  /** A frame came; settles when it is decoded. */
  deliver: (frame: PackedFrame, bytes: Uint8Array) => Promise<unknown>;
  /** Nothing more comes: all was read, or the packs cannot be had (then the rest is to be asked for by the frame). */
  onEnd: () => void;
}

/** Reads the packs of a series as streams, from where the person is; turns to where the person goes. */
export class PackStream {
  readonly #parts: PackStreamParts;
  readonly #byIndex: ReadonlyMap<number, PackedFrame>;
  #abort = new AbortController();
  /** What is read now, and the end of what came of it. */
  #reading: { url: string; from: number; to: number } | null = null;
  #ended = false;

  constructor(parts: PackStreamParts) {
    this.#parts = parts;
    this.#byIndex = new Map(parts.frames.map((frame) => [frame.index, frame]));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Reads on from here, unless the slice is there or comes soon anyway. */
  from(index: number): void {
    if (this.#ended || (this.#reading !== null && (this.#parts.has(index) || this.#comesSoon(index)))) return;
    this.#abort.abort();
    this.#abort = new AbortController();
    void this.#read(index, this.#abort.signal);
  }

  stop(): void {
    this.#ended = true;
    this.#abort.abort();
  }

  #comesSoon(index: number): boolean {
    const frame = this.#byIndex.get(index);
    if (frame === undefined) return true; // in no pack: it is asked for by itself
    const now = this.#reading;
    return now?.url === frame.url && frame.offset >= now.from && frame.offset < Math.min(now.to, now.from + SOON_BYTES);
  }

  async #read(index: number, signal: AbortSignal): Promise<void> {
    const wanted = this.#parts.frames.filter((frame) => !this.#parts.has(frame.index));
    try {
      for (const segment of segmentsFrom(wanted, index)) await this.#readSegment(segment, signal);
    } catch {
      // A network that is away, an address that is no longer good: those who want a slice ask for it, and say what is wrong.
    }
    if (signal.aborted) return;
    this.#ended = true;
    this.#parts.onEnd();
  }

  async #readSegment(segment: readonly PackedFrame[], signal: AbortSignal): Promise<void> {
    const [first, last] = [segment[0], segment.at(-1)];
    if (first === undefined || last === undefined) return;
    const to = last.offset + last.length;
    this.#reading = { url: first.url, from: first.offset, to };
    const headers = { Range: `bytes=${first.offset}-${to - 1}` };
    const response = await this.#parts.fetch(first.url, { headers, signal });
    // A store that does not know ranges answers the whole.
    if (response.body === null || (response.status !== 206 && response.status !== 200)) throw new Error('no pack');
    const undecoded = new Set<Promise<unknown>>();
    for await (const { frame, bytes } of cut(
      segment,
      chunksOf(response.body),
      response.status === 206 ? first.offset : 0,
    )) {
      if (signal.aborted) return;
      this.#reading.from = frame.offset + frame.length;
      const decoding = this.#parts.deliver(frame, bytes).catch(() => undefined);
      undecoded.add(decoding);
      void decoding.finally(() => undecoded.delete(decoding));
      if (undecoded.size >= UNDECODED) await Promise.race(undecoded);
    }
    await Promise.all(undecoded);
  }
}

/** Not every browser can iterate over a stream. */
async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
