export type WarningKey = 'patient_id_differs' | 'patient_name_differs' | 'conflicts' | 'other';

export interface ShownWarning {
  key: WarningKey;
  /** The server's own words, shown where there is no translation. */
  text: string;
}

const KNOWN: readonly [RegExp, WarningKey][] = [
  [/patient.?ids?\b/i, 'patient_id_differs'],
  [/patient.?names?\b/i, 'patient_name_differs'],
];

/** The warnings of a study as the dashboard words them; what it does not know is passed on as it came. */
export function warningKeys(warnings: readonly string[], conflicts: number): ShownWarning[] {
  const shown = warnings.map((text) => ({
    key: KNOWN.find(([pattern]) => pattern.test(text))?.[1] ?? ('other' as const),
    text,
  }));
  if (conflicts > 0) shown.push({ key: 'conflicts', text: '' });
  return [...new Map(shown.map((warning) => [warning.key === 'other' ? warning.text : warning.key, warning])).values()];
}
