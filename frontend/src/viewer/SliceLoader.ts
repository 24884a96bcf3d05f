import { nextToLoad, type Span, spanAround, within } from './prefetch';

/** Requests for pictures at the same time, beside the one waited for. */
export const PARALLEL = 4;
/** Without success so often, a slice is no longer prefetched. */
export const TRIES = 2;
/** Prefetching rests so long after a failure. */
export const PAUSE_MS = 3000;

export interface LoaderParts {
  count: number;
  /** Bytes for pictures that are kept. */
  budget: number;
  /** What a slice is thought to take, until larger ones are seen; bytes. */
  bytes: number;
  /** Loads and decodes one slice, and says how many bytes it takes. */
  load: (index: number, urgent: boolean) => Promise<number>;
  /** Whether a slice comes by another way: it is not prefetched here. */
  comes: (index: number) => boolean;
  /** Lets go of a slice: the memory is needed nearer to the person. */
  drop: (index: number) => void;
  /** Told when the number of loaded slices has changed. */
  onLoaded: () => void;
}

/**
 * Which slices of a series are there, and which come next: the one waited for at once, and around it a few at a time. When
 * the budget does not hold the series, a span of slices around the person is kept, and what lies outside is let go.
 * After a failure prefetching waits a while, for a network that is away takes all of them; a slice that keeps failing is left
 * to the person who scrolls to it.
 */
export class SliceLoader {
  readonly #parts: LoaderParts;
  /** Loaded slices with their bytes. */
  readonly #loaded = new Map<number, number>();
  readonly #failures = new Map<number, number>();
  readonly #inFlight = new Set<number>();
  #bytes = 0;
  #largest: number;
  #current = 0;
  /** Everything nearer to the current slice is taken: each step would look through all of them otherwise. */
  #from = 0;
  #pause: ReturnType<typeof setTimeout> | null = null;
  #stopped = false;

  constructor(parts: LoaderParts) {
    this.#parts = parts;
    this.#largest = Math.max(1, parts.bytes);
  }

  get loaded(): number {
    return this.#loaded.size;
  }

  has(index: number): boolean {
    return this.#loaded.has(index);
  }

  /** What the budget holds around a slice. */
  span(index: number): Span {
    return spanAround(index, this.#parts.count, Math.floor(this.#parts.budget / this.#largest));
  }

  /** The slice was pushed out of the memory: to be asked for again when it comes near. */
  forget(index: number): void {
    this.#bytes -= this.#loaded.get(index) ?? 0;
    this.#loaded.delete(index);
    this.#from = 0;
  }

  /** Loads a slice that a person waits for. Rejects as the load does. */
  now(index: number): Promise<void> {
    this.#moveTo(index);
    return this.#load(index, () => this.#parts.load(index, true));
  }

  /** A slice came without having been asked for. Rejects as the load does. */
  came(index: number, load: () => Promise<number>): Promise<void> {
    return this.#load(index, load);
  }

  /** Goes on prefetching, from here. */
  around(index: number): void {
    this.#moveTo(index);
    this.#fill();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#pause !== null) clearTimeout(this.#pause);
  }

  #moveTo(index: number): void {
    if (index !== this.#current) this.#from = 0;
    this.#current = index;
  }

  async #load(index: number, load: () => Promise<number>): Promise<void> {
    try {
      const bytes = await load();
      if (this.#stopped) return;
      this.#largest = Math.max(this.#largest, bytes);
      this.#failures.delete(index);
      if (this.#loaded.has(index)) return;
      this.#loaded.set(index, bytes);
      this.#bytes += bytes;
      this.#makeRoom();
      this.#parts.onLoaded();
    } catch (error) {
      this.#failures.set(index, (this.#failures.get(index) ?? 0) + 1);
      this.forget(index);
      throw error;
    }
  }

  /** Everything outside the span goes at once: it is the farthest, and looking for one at a time would cost more. */
  #makeRoom(): void {
    if (this.#bytes <= this.#parts.budget) return;
    const kept = this.span(this.#current);
    for (const index of [...this.#loaded.keys()]) {
      if (within(kept, index)) continue;
      this.forget(index);
      this.#parts.drop(index);
    }
  }

  #fill(): void {
    while (!this.#stopped && this.#pause === null && this.#inFlight.size < PARALLEL) {
      const [current, span] = [this.#current, this.span(this.#current)];
      const taken = (slice: number) => this.#isTaken(slice);
      const index = nextToLoad({ current, span, taken, from: this.#from });
      this.#from = index === null ? span.last - span.first + 1 : Math.abs(index - current);
      if (index === null) return;
      this.#inFlight.add(index);
      void this.#load(index, () => this.#parts.load(index, false))
        .catch(() => this.#waitAWhile())
        .finally(() => {
          this.#inFlight.delete(index);
          this.#fill();
        });
    }
  }

  #isTaken(index: number): boolean {
    const failed = (this.#failures.get(index) ?? 0) >= TRIES;
    return failed || this.#loaded.has(index) || this.#inFlight.has(index) || this.#parts.comes(index);
  }

  #waitAWhile(): void {
    if (this.#stopped) return;
    if (this.#pause !== null) clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = null;
      this.#from = 0;
      this.#fill();
    }, PAUSE_MS);
  }
}
