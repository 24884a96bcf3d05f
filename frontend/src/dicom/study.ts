import { type Dataset, number, personName, TAG, text, texts } from './dataset';
import { type Age, ageAt, formatDate, formatTime } from './dates';
import { formatPersonName } from './person-name';

/** What the pages show of a patient and a study, ready to read; empty where nothing is known. */
export interface StudyText {
  patient: string;
  patientId: string;
  sex: 'M' | 'F' | 'O' | null;
  age: Age | null;
  birthDate: string;
  date: string;
  time: string;
  accession: string;
  modalities: string[];
  description: string;
  institution: string;
  images: number;
}

function knownSex(value: string | undefined): StudyText['sex'] {
  return value === 'M' || value === 'F' || value === 'O' ? value : null;
}

export function describeStudy(study: Dataset): StudyText {
  const studyDate = text(study, TAG.StudyDate);
  const birthDate = text(study, TAG.PatientBirthDate);
  return {
    patient: formatPersonName(personName(study, TAG.PatientName)),
    patientId: text(study, TAG.PatientID) ?? '',
    sex: knownSex(text(study, TAG.PatientSex)),
    age: ageAt(birthDate, studyDate, text(study, TAG.PatientAge)),
    birthDate: formatDate(birthDate),
    date: formatDate(studyDate),
    time: formatTime(text(study, TAG.StudyTime)),
    accession: text(study, TAG.AccessionNumber) ?? '',
    modalities: texts(study, TAG.ModalitiesInStudy),
    description: text(study, TAG.StudyDescription) ?? '',
    institution: text(study, TAG.InstitutionName) ?? '',
    images: number(study, TAG.NumberOfStudyRelatedInstances) ?? 0,
  };
}
