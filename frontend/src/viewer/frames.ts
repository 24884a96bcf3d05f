import { framesPath, type StudyNames } from '../api/pacs';
import { type Dataset, number, TAG, text, texts } from '../dicom/dataset';
import { hasImage, sortInstances } from '../dicom/sorting';

/** One picture to scroll to: a frame of an instance. */
export interface Frame {
  /** The name Cornerstone knows it by: the scheme of the loader and the address of the frame (PS3.18 10.4.1.1.6). */
  imageId: string;
  dataset: Dataset;
  /** 1-based. */
  frame: number;
}

/** The pictures of a series in reading order. Instances without pixels (reports, plans …) give none. */
export function framesOf(names: StudyNames, series: string, instances: readonly Dataset[], origin: string): Frame[] {
  const pathOf = framesPath(names, series);
  return sortInstances(instances.filter(hasImage)).flatMap((dataset) => {
    const instance = text(dataset, TAG.SOPInstanceUID);
    if (instance === undefined) return [];
    const count = Math.max(1, Math.trunc(number(dataset, TAG.NumberOfFrames) ?? 1));
    const path = pathOf(instance);
    return Array.from({ length: count }, (_, index) => ({
      imageId: `wadors:${origin}${path}/${index + 1}`,
      dataset,
      frame: index + 1,
    }));
  });
}

/** About what a decoded frame takes in memory. */
export function decodedBytes(dataset: Dataset): number {
  const pixels = (number(dataset, TAG.Rows) ?? 0) * (number(dataset, TAG.Columns) ?? 0);
  const bytes = Math.ceil((number(dataset, TAG.BitsAllocated) ?? 16) / 8);
  return pixels * bytes * (number(dataset, TAG.SamplesPerPixel) ?? 1);
}

/** Transfer syntaxes that lose detail (PS3.5 10 and A.4). */
const LOSSY_SYNTAXES = new Set([
  '1.2.840.10008.1.2.4.50',
  '1.2.840.10008.1.2.4.51',
  '1.2.840.10008.1.2.4.81',
  '1.2.840.10008.1.2.4.91',
  '1.2.840.10008.1.2.4.93',
  '1.2.840.10008.1.2.4.112',
  '1.2.840.10008.1.2.4.203',
]);

/** Whether an image has been through lossy compression, as it says itself or as it is stored. */
export function isLossy(dataset: Dataset): boolean {
  if (text(dataset, TAG.LossyImageCompression) === '01') return true;
  return texts(dataset, TAG.AvailableTransferSyntaxUID).some((uid) => LOSSY_SYNTAXES.has(uid));
}
