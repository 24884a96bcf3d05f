import { describe, expect, it } from 'vitest';
import { EMPTY_FORM, isNarrowed, isReversed, isWrongDate, PAGE_SIZE, type SearchForm, toRequest } from './search';

const TODAY = new Date(2026, 10, 24, 23, 59);
const form = (part: Partial<SearchForm>): SearchForm => ({ ...EMPTY_FORM, ...part });

describe('the search form as a request', () => {
  it.each<[string, Partial<SearchForm>, object]>([
    ['an empty form', {}, {}],
    ['words, trimmed and single-spaced', { text: '  nguyen   van ' }, { text: 'nguyen van' }],
    ['decomposed letters, composed', { text: 'Nguyễn'.normalize('NFD') }, { text: 'Nguyễn'.normalize('NFC') }],
    ['today', { preset: 'today' }, { from: '20261124', to: '20261124' }],
    ['yesterday', { preset: 'yesterday' }, { from: '20261123', to: '20261123' }],
    ['seven days, today among them', { preset: 'week' }, { from: '20261118', to: '20261124' }],
    ['thirty days', { preset: 'month' }, { from: '20261026', to: '20261124' }],
    ['a chosen range', { preset: 'custom', from: '1/2/2026', to: '03/02/2026' }, { from: '20260201', to: '20260203' }],
    ['an open range', { preset: 'custom', from: '', to: '03/02/2026' }, { to: '20260203' }],
    ['a half-typed day, which is left out', { preset: 'custom', from: '1/2/20', to: '' }, {}],
    ['typed days under another preset, which are left out', { preset: 'any', from: '1/2/2026' }, {}],
    ['a modality', { modality: 'CT' }, { modalities: ['CT'] }],
  ])('sends %s', (_case, part, request) => {
    expect(toRequest(form(part), TODAY)).toEqual({ ...request, limit: PAGE_SIZE });
  });

  it('knows a wrong day from an empty box', () => {
    expect(isWrongDate('31/02/2026')).toBe(true);
    expect(isWrongDate(' ')).toBe(false);
  });

  it('sees a range that ends before it begins', () => {
    expect(isReversed(form({ preset: 'custom', from: '02/02/2026', to: '01/02/2026' }))).toBe(true);
    expect(isReversed(form({ preset: 'custom', from: '01/02/2026', to: '01/02/2026' }))).toBe(false);
  });

  it('tells a narrowed list from the whole list', () => {
    expect(isNarrowed(form({ text: ' ' }))).toBe(false);
    expect(isNarrowed(form({ modality: 'MR' }))).toBe(true);
  });
});
