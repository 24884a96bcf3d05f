import { type Dataset, TAG, text } from '../dicom/dataset';
import { Viewed } from '../dicom/viewed';
import { chunksOf } from './chunks';
import type { Client } from './client';
import { jsonObjects } from './json-objects';
import type { SearchRequest } from './search';

/** The answers of the console (`/api`), as far as the dashboard reads them. */

export interface Archive {
  archive: string;
  name: string;
  role: string;
  /** What this person may do there. */
  actions: string[];
}

export interface StudyItem {
  uid: string;
  /** The study as QIDO-RS gives it (PS3.18 10.6.3.3.1). */
  dicom: Dataset;
}

export interface StudyPage {
  /** Newest first. */
  studies: StudyItem[];
  /** What asks for the next page; `null` at the end. */
  next: string | null;
}

export interface SeriesItem {
  uid: string;
  dicom: Dataset;
  modality: string;
  instances: number;
}

export interface StudyDetails {
  dicom: Dataset;
  series: SeriesItem[];
  /** What a person should check, in the server's words or codes. */
  warnings: string[];
  /** Instances that came again with other content under the same UID. */
  conflicts: number;
}

/** An object that holds instances of a series, and where their frames lie in it. */
export interface Pack {
  /** Signed: good for a quarter of an hour at least. */
  url: string;
  instances: PackedInstance[];
}

export interface PackedInstance {
  uid: string;
  transferSyntax: string;
  /** Offset, length, count: so many frames of one length, one after the other. */
  runs: [number, number, number][];
}

export interface StudyNames {
  archive: string;
  study: string;
}

interface StudyAnswer {
  study_instance_uid: string;
  dicom: Dataset;
}

interface PacksAnswer {
  packs: {
    url: string;
    instances: { sop_instance_uid: string; transfer_syntax_uid: string; runs: [number, number, number][] }[];
  }[];
}

interface DetailsAnswer extends StudyAnswer {
  warnings?: string[];
  conflicts?: number;
  series: { series_instance_uid: string; dicom: Dataset; modality?: string | null; instances: number }[];
}

const archivePath = (archive: string): string => `/api/archives/${encodeURIComponent(archive)}`;
const studyPath = ({ archive, study }: StudyNames): string =>
  `/dicomweb/${encodeURIComponent(archive)}/studies/${encodeURIComponent(study)}`;
const seriesPath = (names: StudyNames, series: string): string =>
  `${studyPath(names)}/series/${encodeURIComponent(series)}`;

export const studyThumbnailPath = (names: StudyNames): string => `${studyPath(names)}/thumbnail`;
export const seriesThumbnailPath = (names: StudyNames, series: string): string =>
  `${seriesPath(names, series)}/thumbnail`;
/** Where the frames of an instance of this series lie; for thousands of instances. */
export function framesPath(names: StudyNames, series: string): (instance: string) => string {
  const path = seriesPath(names, series);
  return (instance) => `${path}/instances/${encodeURIComponent(instance)}/frames`;
}

export async function listArchives(client: Client, signal: AbortSignal): Promise<Archive[]> {
  return (await client.json<{ archives: Archive[] }>('/api/archives', { signal })).archives;
}

export async function searchStudies(
  client: Client,
  archive: string,
  request: SearchRequest,
  signal: AbortSignal,
): Promise<StudyPage> {
  const answer = await client.post<{ studies: StudyAnswer[]; next: string | null }>(
    `${archivePath(archive)}/search`,
    request,
    signal,
  );
  const studies = answer.studies.map((study) => ({ uid: study.study_instance_uid, dicom: study.dicom }));
  return { studies, next: answer.next ?? null };
}

export async function readStudy(client: Client, names: StudyNames, signal: AbortSignal): Promise<StudyDetails> {
  const path = `${archivePath(names.archive)}/studies/${encodeURIComponent(names.study)}`;
  const answer = await client.json<DetailsAnswer>(path, { signal });
  return {
    dicom: answer.dicom,
    warnings: answer.warnings ?? [],
    conflicts: answer.conflicts ?? 0,
    series: answer.series.map((item) => ({
      uid: item.series_instance_uid,
      dicom: item.dicom,
      modality: item.modality ?? text(item.dicom, TAG.Modality) ?? '',
      instances: item.instances,
    })),
  };
}

/**
 * Of every instance of a series what the viewer needs of its data set (PS3.18 10.4.1.1.2). Read while it arrives: it may be
 * tens of megabytes.
 */
export async function readSeriesMetadata(
  client: Client,
  names: StudyNames,
  series: string,
  signal: AbortSignal,
): Promise<Dataset[]> {
  const headers = { Accept: 'application/dicom+json' };
  const response = await client.request(`${seriesPath(names, series)}/metadata`, { headers, signal });
  if (response.status === 204 || response.body === null) return [];
  const viewed = new Viewed();
  const found: Dataset[] = [];
  for await (const dataset of jsonObjects<Dataset>(chunksOf(response.body))) found.push(viewed.of(dataset));
  return found;
}

/** The packs of a series, of what can be read out of packs. */
export async function readPacks(
  client: Client,
  names: StudyNames,
  series: string,
  signal: AbortSignal,
): Promise<Pack[]> {
  const study = `${archivePath(names.archive)}/studies/${encodeURIComponent(names.study)}`;
  const answer = await client.json<PacksAnswer>(`${study}/series/${encodeURIComponent(series)}/packs`, { signal });
  return answer.packs.map(({ url, instances }) => ({
    url,
    instances: instances.map((each) => ({
      uid: each.sop_instance_uid,
      transferSyntax: each.transfer_syntax_uid,
      runs: each.runs,
    })),
  }));
}
