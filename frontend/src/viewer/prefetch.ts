/** Slices from the first to the last, both with it, 0-based. */
export interface Span {
  first: number;
  last: number;
}

/**
 * The slices worth having when the memory holds `capacity` of `count` and the person is at `index`: as many before as after
 * it, and at an end of the series those on the other side instead. One at least.
 */
export function spanAround(index: number, count: number, capacity: number): Span {
  const size = Math.max(1, Math.min(count, capacity));
  const first = Math.max(0, Math.min(count - size, index - Math.floor(size / 2)));
  return { first, last: first + size - 1 };
}

export const within = ({ first, last }: Span, index: number): boolean => first <= index && index <= last;

/** What to load next around the slice on the screen. */
export interface PrefetchState {
  current: number;
  span: Span;
  /** Whether it is loaded, on its way, or failed: not to be asked for again. */
  taken: (index: number) => boolean;
  /** Everything nearer than this is taken. */
  from?: number;
}

/** The nearest slice of the span that is not taken, ahead before behind; null when all are. */
export function nextToLoad({ current, span, taken, from = 0 }: PrefetchState): number | null {
  const reach = Math.max(span.last - current, current - span.first);
  for (let distance = from; distance <= reach; distance += 1) {
    for (const index of [current + distance, current - distance]) {
      if (within(span, index) && !taken(index)) return index;
    }
  }
  return null;
}
