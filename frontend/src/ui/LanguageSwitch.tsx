import { SegmentedControl } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { LANGUAGES } from '../i18n';

/** Languages are named in themselves, so that a reader who is lost finds the way. */
const NAMES = { vi: 'Tiếng Việt', en: 'English' } as const;
const SHORT = { vi: 'VI', en: 'EN' } as const;

export function LanguageSwitch({ short = false }: { short?: boolean }) {
  const { t, i18n } = useTranslation();
  const names = short ? SHORT : NAMES;
  return (
    <SegmentedControl
      size="xs"
      aria-label={t('app.language')}
      value={i18n.language}
      onChange={(language) => void i18n.changeLanguage(language)}
      data={LANGUAGES.map((language) => ({ value: language, label: names[language] }))}
    />
  );
}
