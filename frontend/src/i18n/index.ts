import i18next, { type i18n } from 'i18next';
import { initReactI18next } from 'react-i18next';
import en from './en.json';
import vi from './vi.json';

export const LANGUAGES = ['vi', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

const KEY = 'maypacs.language';

const isLanguage = (value: unknown): value is Language => LANGUAGES.includes(value as Language);

/** The language chosen before, else Vietnamese when the browser asks for it anywhere in its list, else English. */
export function firstLanguage(stored: string | null, browser: readonly string[]): Language {
  if (isLanguage(stored)) return stored;
  return browser.some((tag) => /^vi\b/i.test(tag)) ? 'vi' : 'en';
}

export function startI18n(storage: Storage, browser: readonly string[]): i18n {
  const instance = i18next.createInstance();
  const reflect = (language: string) => {
    document.documentElement.lang = language;
  };
  instance.on('languageChanged', (language) => {
    reflect(language);
    storage.setItem(KEY, language);
  });
  const lng = firstLanguage(storage.getItem(KEY), browser);
  // Everything is at hand, so that the first paint is in the right language.
  void instance.use(initReactI18next).init({
    lng,
    fallbackLng: 'en',
    initAsync: false,
    resources: { vi: { translation: vi }, en: { translation: en } },
    interpolation: { escapeValue: false },
  });
  reflect(lng);
  return instance;
}
