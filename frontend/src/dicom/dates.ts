/** Calendar days as DICOM writes them (DA, PS3.5 6.2) and as doctors here read them: dd/MM/yyyy, in every language. */

interface Day {
  year: number;
  month: number;
  day: number;
}

function validDay(year: number, month: number, day: number): Day | null {
  const date = new Date(Date.UTC(year, month - 1, day));
  date.setUTCFullYear(year);
  const same = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return same ? { year, month, day } : null;
}

function parseDicomDate(value: string): Day | null {
  const match = /^(\d{4})[.-]?(\d{2})[.-]?(\d{2})$/.exec(value.trim());
  return match === null ? null : validDay(Number(match[1]), Number(match[2]), Number(match[3]));
}

const two = (n: number): string => String(n).padStart(2, '0');
const four = (n: number): string => String(n).padStart(4, '0');

/** "20260703" as "03/07/2026"; what is no date is shown as it is, so that nothing is hidden. */
export function formatDate(value: string | undefined): string {
  if (value === undefined) return '';
  const day = parseDicomDate(value);
  return day === null ? value.trim() : `${two(day.day)}/${two(day.month)}/${four(day.year)}`;
}

/** "134501.123" as "13:45"; hours alone and other forms are shown as far as they are known. */
export function formatTime(value: string | undefined): string {
  const match = /^(\d{2}):?(\d{2})/.exec(value?.trim() ?? '');
  return match === null ? '' : `${match[1]}:${match[2]}`;
}

/** A day typed as d/M/yyyy (also with dots or dashes) as a DICOM date; null when it is not a day. */
export function parseTypedDate(text: string): string | null {
  const match = /^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})$/.exec(text.trim());
  const digits = /^(\d{2})(\d{2})(\d{4})$/.exec(text.trim());
  const parts = match ?? digits;
  if (parts === null) return null;
  const day = validDay(Number(parts[3]), Number(parts[2]), Number(parts[1]));
  return day === null ? null : `${four(day.year)}${two(day.month)}${two(day.day)}`;
}

/** A local calendar day as a DICOM date. */
export function toDicomDate(date: Date): string {
  return `${four(date.getFullYear())}${two(date.getMonth() + 1)}${two(date.getDate())}`;
}

/** The local calendar day `days` before `today`. */
export function daysBefore(today: Date, days: number): Date {
  return new Date(today.getFullYear(), today.getMonth(), today.getDate() - days);
}

export interface Age {
  value: number;
  unit: 'years' | 'months' | 'days';
}

/**
 * The age on the day of the study: PatientAge (AS, "045Y") when there is one, else from the birth date.
 * Children under two are counted in months, under two months in days.
 */
export function ageAt(birthDate: string | undefined, studyDate: string | undefined, patientAge?: string): Age | null {
  const stated = /^(\d{3})([DWMY])$/.exec(patientAge?.trim() ?? '');
  if (stated !== null) {
    const value = Number(stated[1]);
    if (stated[2] === 'Y') return { value, unit: 'years' };
    if (stated[2] === 'M') return { value, unit: 'months' };
    return { value: stated[2] === 'W' ? value * 7 : value, unit: 'days' };
  }
  const born = birthDate === undefined ? null : parseDicomDate(birthDate);
  const then = studyDate === undefined ? null : parseDicomDate(studyDate);
  if (born === null || then === null) return null;
  let months = (then.year - born.year) * 12 + then.month - born.month;
  if (then.day < born.day) months -= 1;
  if (months < 0) return null;
  if (months >= 24) return { value: Math.floor(months / 12), unit: 'years' };
  if (months >= 2) return { value: months, unit: 'months' };
  const days =
    (Date.UTC(then.year, then.month - 1, then.day) - Date.UTC(born.year, born.month - 1, born.day)) / 86_400_000;
  return days < 0 ? null : { value: Math.round(days), unit: 'days' };
}
