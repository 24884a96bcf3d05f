import type { PersonName } from './person-name';

/** One element and one data set of the DICOM JSON model (PS3.18 F). */
export interface Element {
  vr?: string;
  Value?: unknown[];
  BulkDataURI?: string;
  InlineBinary?: string;
}
export type Dataset = Record<string, Element | undefined>;

/** The attributes read here, by keyword (PS3.6). */
export const TAG = {
  SOPClassUID: '00080016',
  SOPInstanceUID: '00080018',
  StudyDate: '00080020',
  StudyTime: '00080030',
  AcquisitionTime: '00080032',
  ContentTime: '00080033',
  AccessionNumber: '00080050',
  Modality: '00080060',
  ModalitiesInStudy: '00080061',
  InstitutionName: '00080080',
  StudyDescription: '00081030',
  SeriesDescription: '0008103E',
  AvailableTransferSyntaxUID: '00083002',
  PatientName: '00100010',
  PatientID: '00100020',
  PatientBirthDate: '00100030',
  PatientSex: '00100040',
  PatientAge: '00101010',
  SliceThickness: '00180050',
  TriggerTime: '00181060',
  StudyInstanceUID: '0020000D',
  SeriesInstanceUID: '0020000E',
  SeriesNumber: '00200011',
  AcquisitionNumber: '00200012',
  InstanceNumber: '00200013',
  ImagePositionPatient: '00200032',
  ImageOrientationPatient: '00200037',
  TemporalPositionIdentifier: '00200100',
  SliceLocation: '00201041',
  NumberOfStudyRelatedSeries: '00201206',
  NumberOfStudyRelatedInstances: '00201208',
  NumberOfSeriesRelatedInstances: '00201209',
  SamplesPerPixel: '00280002',
  PhotometricInterpretation: '00280004',
  NumberOfFrames: '00280008',
  Rows: '00280010',
  Columns: '00280011',
  BitsAllocated: '00280100',
  LossyImageCompression: '00282110',
} as const;

export type Tag = (typeof TAG)[keyof typeof TAG];

export function values(dataset: Dataset, tag: Tag): unknown[] {
  return dataset[tag]?.Value ?? [];
}

/** Every value as text; empty values are left out. */
export function texts(dataset: Dataset, tag: Tag): string[] {
  return values(dataset, tag)
    .filter((value) => typeof value === 'string' || typeof value === 'number')
    .map(String)
    .filter((value) => value !== '');
}

export function text(dataset: Dataset, tag: Tag): string | undefined {
  return texts(dataset, tag)[0];
}

/** Every value as a number; IS and DS may come as strings (PS3.18 F.2.3). A value that is no number makes the list empty. */
export function numbers(dataset: Dataset, tag: Tag): number[] {
  const all = values(dataset, tag).map((value) =>
    typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value),
  );
  return all.every(Number.isFinite) ? all : [];
}

export function number(dataset: Dataset, tag: Tag): number | undefined {
  return numbers(dataset, tag)[0];
}

export function personName(dataset: Dataset, tag: Tag): PersonName | string | undefined {
  const value = values(dataset, tag)[0];
  return typeof value === 'string' || (typeof value === 'object' && value !== null)
    ? (value as PersonName | string)
    : undefined;
}
