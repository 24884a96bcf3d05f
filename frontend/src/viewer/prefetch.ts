/** What to load next around the slice on the screen. */
export interface PrefetchState {
  current: number;
  count: number;
  /** Loaded, on its way, or failed: not to be asked for again. */
  taken: ReadonlySet<number>;
  /** How far from the current slice it is worth going, in slices. */
  reach: number;
}

/** The nearest slice that is not taken, ahead before behind; null when everything in reach is. */
export function nextToLoad({ current, count, taken, reach }: PrefetchState): number | null {
  for (let distance = 0; distance <= reach; distance += 1) {
    for (const index of [current + distance, current - distance]) {
      if (index >= 0 && index < count && !taken.has(index)) return index;
    }
  }
  return null;
}

/** How many slices either side fit into `budget` bytes when each takes `bytes`. */
export function reachFor(budget: number, bytes: number): number {
  return Math.max(1, Math.floor(budget / Math.max(1, bytes) / 2));
}
