import { describe, expect, it } from 'vitest';
import { ageAt, daysBefore, formatDate, formatTime, parseTypedDate, toDicomDate } from './dates';

describe('dates', () => {
  it.each([
    ['20260703', '03/07/2026'],
    ['2026.07.03', '03/07/2026'],
    ['2026-07-03', '03/07/2026'],
    ['00010101', '01/01/0001'],
    ['20260231', '20260231'],
    ['unknown', 'unknown'],
    [undefined, ''],
  ])('shows %s as %s', (value, shown) => {
    expect(formatDate(value)).toBe(shown);
  });

  it.each([
    ['134501.123', '13:45'],
    ['0815', '08:15'],
    ['08:15:00', '08:15'],
    ['13', ''],
    [undefined, ''],
  ])('shows the time %s as %s', (value, shown) => {
    expect(formatTime(value)).toBe(shown);
  });

  it.each([
    ['03/07/2026', '20260703'],
    ['3.7.2026', '20260703'],
    ['03072026', '20260703'],
    ['31/02/2026', null],
    ['07/31/2026', null],
    ['3/7/26', null],
    ['', null],
  ])('reads %s as %s', (typed, date) => {
    expect(parseTypedDate(typed)).toBe(date);
  });

  it('counts days back over the end of a month', () => {
    expect(toDicomDate(daysBefore(new Date(2026, 2, 1), 1))).toBe('20260228');
  });
});

describe('age', () => {
  it.each([
    ['years', '19700101', '20260101', undefined, { value: 56, unit: 'years' }],
    ['the day before the birthday', '19700102', '20260101', undefined, { value: 55, unit: 'years' }],
    ['months under two years', '20250115', '20260714', undefined, { value: 17, unit: 'months' }],
    ['days under two months', '20260701', '20260703', undefined, { value: 2, unit: 'days' }],
    ['what the image says, before the birth date', '19700101', '20260101', '045Y', { value: 45, unit: 'years' }],
    ['weeks as days', undefined, undefined, '003W', { value: 21, unit: 'days' }],
  ])('is given in %s', (_case, born, study, stated, age) => {
    expect(ageAt(born, study, stated)).toEqual(age);
  });

  it.each([
    ['without a birth date', undefined, '20260101'],
    ['without a study date', '19700101', undefined],
    ['when the study is before the birth', '20260102', '20260101'],
    ['for a date that is none', '19701340', '20260101'],
  ])('is unknown %s', (_case, born, study) => {
    expect(ageAt(born, study)).toBeNull();
  });
});
