import { nextToLoad, reachFor } from './prefetch';

/** Requests for pictures at the same time, beside the one waited for. */
export const PARALLEL = 4;
/** Without success so often, a slice is no longer prefetched. */
export const TRIES = 2;
/** Prefetching rests so long after a failure. */
export const PAUSE_MS = 3000;
/** Slices either side that are prefetched before the size of one is known. */
const FIRST_REACH = 64;

export interface LoaderParts {
  count: number;
  /** Bytes for prefetched pictures. */
  budget: number;
  /** Loads and decodes one slice, and says how many bytes it takes. */
  load: (index: number, urgent: boolean) => Promise<number>;
  /** Told when the number of loaded slices has changed. */
  onLoaded: () => void;
}

/**
 * Which slices of a series are there, and which come next: the one waited for at once, and around it a few at a time.
 * After a failure prefetching waits a while, for a network that is away takes all of them; a slice that keeps failing is left
 * to the person who scrolls to it.
 */
export class SliceLoader {
  readonly #parts: LoaderParts;
  readonly #loaded = new Set<number>();
  readonly #failures = new Map<number, number>();
  readonly #inFlight = new Set<number>();
  #reach = FIRST_REACH;
  #current = 0;
  /** Everything nearer to the current slice is taken: each step would look through all of them otherwise. */
  #from = 0;
  #pause: ReturnType<typeof setTimeout> | null = null;
  #stopped = false;

  constructor(parts: LoaderParts) {
    this.#parts = parts;
  }

  get loaded(): number {
    return this.#loaded.size;
  }

  has(index: number): boolean {
    return this.#loaded.has(index);
  }

  /** The slice was pushed out of the memory: to be asked for again when it comes near. */
  forget(index: number): void {
    this.#loaded.delete(index);
    this.#from = 0;
  }

  /** Loads a slice that a person waits for. Rejects as the load does. */
  now(index: number): Promise<void> {
    return this.#load(index, () => this.#parts.load(index, true));
  }

  /** A slice came without having been asked for. Rejects as the load does. */
  came(index: number, load: () => Promise<number>): Promise<void> {
    return this.#load(index, load);
  }

  /** Goes on prefetching, from here. */
  around(index: number): void {
    if (index !== this.#current) this.#from = 0;
    this.#current = index;
    this.#fill();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#pause !== null) clearTimeout(this.#pause);
  }

  async #load(index: number, load: () => Promise<number>): Promise<void> {
    try {
      const bytes = await load();
      if (this.#stopped) return;
      this.#reach = reachFor(this.#parts.budget, bytes);
      this.#failures.delete(index);
      if (this.#loaded.has(index)) return;
      this.#loaded.add(index);
      this.#parts.onLoaded();
    } catch (error) {
      this.#failures.set(index, (this.#failures.get(index) ?? 0) + 1);
      this.#loaded.delete(index);
      this.#from = 0;
      throw error;
    }
  }

  #fill(): void {
    while (!this.#stopped && this.#pause === null && this.#inFlight.size < PARALLEL) {
      const { count } = this.#parts;
      const reach = Math.min(count, this.#reach);
      const taken = (slice: number) => this.#isTaken(slice);
      const index = nextToLoad({ current: this.#current, count, taken, reach, from: this.#from });
      this.#from = index === null ? reach + 1 : Math.abs(index - this.#current);
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
    return failed || this.#loaded.has(index) || this.#inFlight.has(index);
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
