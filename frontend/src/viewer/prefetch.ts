/** What to load next around the slice on the screen. */
export interface PrefetchState {
  current: number;
  count: number;
  /** Whether it is loaded, on its way, or failed: not to be asked for again. */
  taken: (index: number) => boolean;
  /** How far from the current slice it is worth going, in slices. */
  reach: number;
  /** Everything nearer than this is taken. */
  from?: number;
}

/** The nearest slice that is not taken, ahead before behind; null when everything in reach is. */
export function nextToLoad({ current, count, taken, reach, from = 0 }: PrefetchState): number | null {
  for (let distance = from; distance <= reach; distance += 1) {
    for (const index of [current + distance, current - distance]) {
      if (index >= 0 && index < count && !taken(index)) return index;
    }
  }
  return null;
}

/** How many slices either side fit into `budget` bytes when each takes `bytes`. */
export function reachFor(budget: number, bytes: number): number {
  return Math.max(1, Math.floor(budget / Math.max(1, bytes) / 2));
}
