import { type Dataset, number, numbers, TAG, type Tag, text } from './dataset';
import { cross, dot, toVector } from './geometry';

/** Places nearer to each other than this are one, mm: the same slice at another time, written with another last digit. */
const SAME_PLACE = 0.01;
/** Cosines of two orientations may differ by this much and still be one stack (about 1.8 degrees). */
const SAME_ORIENTATION = 0.0005;

/**
 * Where each image lies along the normal of the stack, in steps of `SAME_PLACE`; null unless all of them have a position and share one
 * orientation, and the positions tell them apart.
 */
function positions(instances: readonly Dataset[]): number[] | null {
  const first = instances[0];
  if (first === undefined) return null;
  const reference = numbers(first, TAG.ImageOrientationPatient);
  const row = toVector(reference);
  const column = toVector(reference, 3);
  if (row === null || column === null) return null;
  const normal = cross(row, column);
  const found: number[] = [];
  for (const instance of instances) {
    const position = toVector(numbers(instance, TAG.ImagePositionPatient));
    const orientation = numbers(instance, TAG.ImageOrientationPatient);
    const itsRow = toVector(orientation);
    const itsColumn = toVector(orientation, 3);
    if (position === null || itsRow === null || itsColumn === null) return null;
    if (1 - dot(normal, cross(itsRow, itsColumn)) > SAME_ORIENTATION) return null;
    found.push(Math.round(dot(position, normal) / SAME_PLACE));
  }
  return new Set(found).size > 1 ? found : null;
}

interface Keyed {
  instance: Dataset;
  place: number;
  /** What orders images of one place, the first that differs: the time they say, their numbers, the clock. */
  ties: number[];
  uid: string;
}

/** TemporalPositionIdentifier counts only beside positions: without them the scanner's own numbers say more. */
function keyed(instance: Dataset, place: number | undefined): Keyed {
  const or0 = (tag: Tag) => number(instance, tag) ?? 0;
  const ties = [
    place === undefined ? 0 : or0(TAG.TemporalPositionIdentifier),
    number(instance, TAG.InstanceNumber) ?? Number.MAX_SAFE_INTEGER,
    or0(TAG.AcquisitionNumber),
    or0(TAG.TriggerTime),
    or0(TAG.AcquisitionTime),
    or0(TAG.ContentTime),
  ];
  return { instance, place: place ?? 0, ties, uid: text(instance, TAG.SOPInstanceUID) ?? '' };
}

function compareTies(a: Keyed, b: Keyed): number {
  for (const [at, tie] of a.ties.entries()) {
    const difference = tie - (b.ties[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0;
}

/**
 * The order in which a person scrolls a series: by position along the normal of the slices, in the direction in which the
 * scanner numbered them, and at one position by time (TemporalPositionIdentifier, then InstanceNumber, then the clock). So a
 * series of one place at many times (fMRI, perfusion, a beating heart) shows what it was made for, one place changing, and
 * anatomy stays in order beyond that. Where positions are missing, mixed or all equal, InstanceNumber comes first. The UID
 * comes last, so that the order never depends on the order of the answer.
 */
export function sortInstances(instances: readonly Dataset[]): Dataset[] {
  const places = positions(instances);
  const all = instances.map((instance, index) => keyed(instance, places?.[index]));
  all.sort((a, b) => a.place - b.place || compareTies(a, b));
  if (places !== null && descends(all)) all.sort((a, b) => b.place - a.place || compareTies(a, b));
  return all.map(({ instance }) => instance);
}

/** Whether InstanceNumber runs against the positions, from the first image of one end to the first of the other. */
function descends(sorted: readonly Keyed[]): boolean {
  const first = sorted[0];
  const last = sorted.find(({ place }) => place === sorted.at(-1)?.place);
  if (first === undefined || last === undefined) return false;
  return (first.ties[1] ?? 0) > (last.ties[1] ?? 0);
}

/** Whether an instance has pixels a browser can show: Rows and Columns are there (PS3.3 C.7.6.3). */
export function hasImage(instance: Dataset): boolean {
  return (number(instance, TAG.Rows) ?? 0) > 0 && (number(instance, TAG.Columns) ?? 0) > 0;
}

/** Modalities whose series hold no pictures (PS3.3 C.7.3.1.1.1). */
const NO_IMAGES = new Set([
  'SR',
  'KO',
  'PR',
  'DOC',
  'PLAN',
  'RTSTRUCT',
  'RTPLAN',
  'RTRECORD',
  'REG',
  'ANN',
  'AU',
  'ECG',
  'HD',
  'EPS',
]);

/** Whether a series is likely to hold pictures, by its modality alone. */
export function isImageModality(modality: string): boolean {
  return !NO_IMAGES.has(modality);
}

/** Series as a reader expects them: by SeriesNumber, series without images last, then by UID. */
export function sortSeries(series: readonly Dataset[]): Dataset[] {
  const key = (item: Dataset) => ({
    late: isImageModality(text(item, TAG.Modality) ?? '') ? 0 : 1,
    number: number(item, TAG.SeriesNumber) ?? Number.MAX_SAFE_INTEGER,
    uid: text(item, TAG.SeriesInstanceUID) ?? '',
  });
  return [...series].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return x.late - y.late || x.number - y.number || (x.uid < y.uid ? -1 : x.uid > y.uid ? 1 : 0);
  });
}
