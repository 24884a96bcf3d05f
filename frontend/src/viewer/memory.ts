const MEGABYTE = 1024 * 1024;
/** A mammogram of 27 MB, its neighbour and what is being decoded still fit. */
const LEAST = 64;

/**
 * How many bytes of decoded pictures a page may keep: of a phone or tablet (`coarse`: fingers point) a sixteenth of its memory
 * and 256 MiB at most, of a PC an eighth and 1 GiB at most. `deviceMemory` is in GiB (W3C Device Memory); some browsers do not
 * tell it.
 */
export function cacheBytes(coarse: boolean, deviceMemory: number | undefined): number {
  const most = coarse ? 256 : 1024;
  const share = deviceMemory === undefined ? most : (deviceMemory * 1024) / (coarse ? 16 : 8);
  return Math.max(LEAST, Math.min(most, share)) * MEGABYTE;
}
