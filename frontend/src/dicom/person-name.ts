/** The groups of a PN value in the DICOM JSON model (PS3.18 F.2.2). */
export interface PersonName {
  Alphabetic?: string;
  Ideographic?: string;
  Phonetic?: string;
}

/** One group as a person reads it: components in the stored order (family, given, middle), `^` as a space. */
function group(value: string): string {
  return value
    .normalize('NFC')
    .split('^')
    .map((component) => component.trim())
    .filter((component) => component !== '')
    .join(' ')
    .replace(/\s+/g, ' ');
}

/**
 * A name as Vietnamese readers write it: family, middle, given, which is the stored order of "Nguyễn^Văn Thử".
 * An ideographic name follows in brackets. Nothing known gives an empty string.
 */
export function formatPersonName(name: PersonName | string | null | undefined): string {
  if (name === null || name === undefined) return '';
  if (typeof name === 'string') {
    const [alphabetic = '', ideographic = ''] = name.split('=');
    return formatPersonName({ Alphabetic: alphabetic, Ideographic: ideographic });
  }
  const main = group(name.Alphabetic ?? '');
  const other = group(name.Ideographic ?? '');
  if (main === '') return other || group(name.Phonetic ?? '');
  return other === '' ? main : `${main} (${other})`;
}
