import { type Dataset, number, numbers, TAG, text } from './dataset';
import { cross, dot, toVector } from './geometry';

/** Cosines of two orientations may differ by this much and still be one stack (about 1.8 degrees). */
const SAME_ORIENTATION = 0.0005;

/**
 * Where each image lies along the normal of the stack, in mm; null unless all of them have a position and share one
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
    found.push(dot(position, normal));
  }
  const distinct = new Set(found.map((place) => Math.round(place * 1000)));
  return distinct.size > 1 ? found : null;
}

/**
 * The order in which a person scrolls a series: by position along the normal of the slices, in the direction in which the
 * scanner numbered them; where positions are missing, mixed or equal, by InstanceNumber. Ties keep InstanceNumber, then the
 * UID, so that the order never depends on the order of the answer.
 */
export function sortInstances(instances: readonly Dataset[]): Dataset[] {
  const places = positions(instances);
  const keyed = instances.map((instance, index) => ({
    instance,
    place: places?.[index] ?? 0,
    instanceNumber: number(instance, TAG.InstanceNumber) ?? Number.MAX_SAFE_INTEGER,
    uid: text(instance, TAG.SOPInstanceUID) ?? '',
  }));
  keyed.sort(
    (a, b) => a.place - b.place || a.instanceNumber - b.instanceNumber || (a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0),
  );
  if (places !== null && descends(keyed)) keyed.reverse();
  return keyed.map(({ instance }) => instance);
}

/** Whether InstanceNumber runs against the positions: the scanner's own direction of reading is kept. */
function descends(keyed: readonly { place: number; instanceNumber: number }[]): boolean {
  const first = keyed[0];
  const last = keyed[keyed.length - 1];
  if (first === undefined || last === undefined) return false;
  return first.instanceNumber > last.instanceNumber;
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
