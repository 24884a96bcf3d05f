/**
 * The slice that a typed number names, 0-based: beyond an end it is the one at that end. Null for what is no whole number, and
 * for a field that was left as it was (null).
 */
export function sliceTyped(typed: string | null, count: number): number | null {
  const text = typed?.trim() ?? '';
  if (!/^\d{1,9}$/.test(text)) return null;
  return Math.min(Math.max(Number(text), 1), count) - 1;
}
