import type { Device, Edge, Finding, Level } from '../api/devices';

/** What the dashboard has words for; a newer edge's others are shown by their code. */
export const CODES = [
  'never_heard',
  'silent',
  'refusing',
  'disk_low',
  'cloud_away',
  'uploads_late',
  'not_taken',
  'failing',
  'attention',
  'commitments_untold',
  'ledger_put_aside',
  'clock_off',
  'certificate_ends',
  'certificate_ended',
  'memory_low',
  'echo_failed',
  'device_rejected',
  'device_silent',
] as const;
export type Code = (typeof CODES)[number];

export const isKnown = (code: string): code is Code => (CODES as readonly string[]).includes(code);

const SECONDS = new Set<string>([
  'never_heard',
  'silent',
  'cloud_away',
  'uploads_late',
  'clock_off',
  'echo_failed',
  'device_rejected',
  'device_silent',
]);

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const unit = (language: string, name: string, value: number, digits = 0): string =>
  new Intl.NumberFormat(language, {
    style: 'unit',
    unit: name,
    unitDisplay: 'long',
    maximumFractionDigits: digits,
  }).format(value);

/** "3 minutes", "2 giờ": whole units, the largest of which there are two. */
export function duration(language: string, seconds: number): string {
  const held = Math.max(0, seconds);
  if (held >= 2 * DAY) return unit(language, 'day', Math.floor(held / DAY));
  if (held >= 2 * HOUR) return unit(language, 'hour', Math.floor(held / HOUR));
  if (held >= 2 * MINUTE) return unit(language, 'minute', Math.floor(held / MINUTE));
  return unit(language, 'second', Math.floor(held));
}

/** "412 GB": decimal, as disks are sold. */
export function size(language: string, bytes: number): string {
  const names = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const step = bytes < 1000 ? 0 : Math.min(names.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return new Intl.NumberFormat(language, {
    style: 'unit',
    unit: names[step],
    unitDisplay: 'short',
    maximumFractionDigits: value < 10 && step > 0 ? 1 : 0,
  }).format(value);
}

/** What stands for `{{value}}` in a finding's words. */
export function amount(language: string, finding: Finding): string {
  const value = finding.value ?? 0;
  if (SECONDS.has(finding.code)) return duration(language, value);
  if (finding.code === 'disk_low') return size(language, value);
  if (finding.code === 'certificate_ends') return unit(language, 'day', Math.floor(value));
  if (finding.code === 'memory_low') return unit(language, 'percent', Math.round(value));
  return new Intl.NumberFormat(language).format(value);
}

export type DeviceLevel = Level | 'unknown';

/** A device is as bad as the worst that is known of it; one that was never seen is neither good nor bad. */
export function deviceLevel(device: Device, findings: Finding[]): DeviceLevel {
  const mine = findings.filter((finding) => finding.device === device.ae_title);
  if (mine.some((finding) => finding.level === 'red')) return 'red';
  if (mine.length > 0) return 'amber';
  return device.heard_at === undefined && device.echo_at === undefined ? 'unknown' : 'green';
}

const ORDER: Record<Level, number> = { red: 0, amber: 1, green: 2 };

/** Trouble first, then by name. */
export function worstFirst(edges: Edge[]): Edge[] {
  return [...edges].sort((a, b) => ORDER[a.level] - ORDER[b.level] || a.name.localeCompare(b.name, 'vi'));
}
