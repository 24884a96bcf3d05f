import { daysBefore, parseTypedDate, toDicomDate } from '../dicom/dates';

export const PRESETS = ['any', 'today', 'yesterday', 'week', 'month', 'custom'] as const;
export type Preset = (typeof PRESETS)[number];

/** The modalities offered as filters; others are found by leaving the filter empty. */
export const MODALITIES = ['CT', 'MR', 'CR', 'DX', 'US', 'XA', 'MG', 'NM', 'PT', 'ES', 'OT'] as const;

/** The search form as it stands on the page. */
export interface SearchForm {
  text: string;
  preset: Preset;
  /** As typed, dd/MM/yyyy; read only with the preset `custom`. */
  from: string;
  to: string;
  modality: string | null;
}

export const EMPTY_FORM: SearchForm = { text: '', preset: 'any', from: '', to: '', modality: null };

/** The body of POST /api/archives/{archive}/search. It travels in the body because it names patients. */
export interface SearchRequest {
  text?: string;
  from?: string;
  to?: string;
  modalities?: string[];
  limit: number;
  cursor?: string;
}

export const PAGE_SIZE = 50;

function dateRange(form: SearchForm, today: Date): { from?: string; to?: string } {
  const day = (daysAgo: number) => toDicomDate(daysBefore(today, daysAgo));
  switch (form.preset) {
    case 'any':
      return {};
    case 'today':
      return { from: day(0), to: day(0) };
    case 'yesterday':
      return { from: day(1), to: day(1) };
    case 'week':
      return { from: day(6), to: day(0) };
    case 'month':
      return { from: day(29), to: day(0) };
    case 'custom': {
      const from = parseTypedDate(form.from);
      const to = parseTypedDate(form.to);
      return { ...(from === null ? {} : { from: from }), ...(to === null ? {} : { to: to }) };
    }
  }
}

export function toRequest(form: SearchForm, today: Date): SearchRequest {
  const words = form.text.normalize('NFC').trim().replace(/\s+/g, ' ');
  return {
    ...(words === '' ? {} : { text: words }),
    ...dateRange(form, today),
    ...(form.modality === null ? {} : { modalities: [form.modality] }),
    limit: PAGE_SIZE,
  };
}

/** Whether what is typed in a date box is neither empty nor a day. */
export function isWrongDate(typed: string): boolean {
  return typed.trim() !== '' && parseTypedDate(typed) === null;
}

/** Whether the range ends before it begins. */
export function isReversed(form: SearchForm): boolean {
  const from = parseTypedDate(form.from);
  const to = parseTypedDate(form.to);
  return form.preset === 'custom' && from !== null && to !== null && from > to;
}

export function isNarrowed(form: SearchForm): boolean {
  return form.text.trim() !== '' || form.preset !== 'any' || form.modality !== null;
}
