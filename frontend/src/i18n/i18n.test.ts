import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import en from './en.json';
import { firstLanguage, startI18n } from './index';
import vi from './vi.json';

type Tree = { [key: string]: string | Tree };

/** Every key with its text; plural forms of one key are one: Vietnamese has one form, English two (CLDR). */
function flat(tree: Tree, prefix = ''): [string, string][] {
  return Object.entries(tree).flatMap(([key, value]) =>
    typeof value === 'string' ? [[prefix + key, value] as [string, string]] : flat(value, `${prefix}${key}.`),
  );
}

const base = (key: string) => key.replace(/_(one|other)$/, '');
const keys = (tree: Tree) => [...new Set(flat(tree).map(([key]) => base(key)))].sort();
const placeholders = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1]).sort();

describe('the two languages', () => {
  it('have the same keys', () => {
    expect(keys(vi)).toEqual(keys(en));
  });

  it('have a text for every key', () => {
    expect([...flat(vi), ...flat(en)].filter(([, text]) => text.trim() === '')).toEqual([]);
  });

  it('put the same values into their texts', () => {
    const english = new Map(flat(en).map(([key, text]) => [base(key), placeholders(text)]));
    for (const [key, text] of flat(vi)) expect([key, placeholders(text)]).toEqual([key, english.get(base(key))]);
  });

  it('have the plural forms that each needs', () => {
    for (const [language, tree] of [
      ['vi', vi],
      ['en', en],
    ] as const) {
      const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
      const found = flat(tree).map(([key]) => key);
      for (const key of found.filter((name) => name.endsWith('_other'))) {
        for (const form of forms) expect(found).toContain(`${base(key)}_${form}`);
      }
    }
  });

  it('are used: no text stands in a component, and no key is left over', () => {
    const folder = join(import.meta.dirname, '..');
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /(?<!\.test)\.tsx?$/.test(name),
    );
    const sources = files.map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const);
    const literal =
      />\s*[A-Za-zÀ-ỹ][^<>{}=;()]*[a-zÀ-ỹ][^<>{}=;()]*<\/|\b(?:aria-label|placeholder|title|alt|label)="[^"]+"/;
    expect(sources.filter(([name, text]) => name.endsWith('.tsx') && literal.test(text)).map(([name]) => name)).toEqual(
      [],
    );
    const all = sources.map(([, text]) => text).join('\n');
    // A key whose last part is a value (`trouble.${trouble}`) is used through its group.
    const used = (key: string) =>
      all.includes(`'${key}'`) || all.includes(`\`${key.slice(0, key.lastIndexOf('.') + 1)}\${`);
    expect(keys(vi).filter((key) => !used(key))).toEqual([]);
  });
});

describe('the first language', () => {
  it.each([
    ['the one chosen before', 'en', ['vi-VN'], 'en'],
    ['Vietnamese when the browser says so', null, ['vi'], 'vi'],
    ['Vietnamese also as the second wish', null, ['fr-FR', 'vi-VN'], 'vi'],
    ['English otherwise', null, ['fr-FR'], 'en'],
    ['English for a browser that says nothing', null, [], 'en'],
    ['not one that is unknown', 'xx', ['vi'], 'vi'],
  ])('is %s', (_case, stored, browser, language) => {
    expect(firstLanguage(stored, browser)).toBe(language);
  });

  it('is told to the page, and a change is remembered', async () => {
    localStorage.clear();
    const i18n = startI18n(localStorage, ['vi-VN']);
    expect(document.documentElement.lang).toBe('vi');
    await i18n.changeLanguage('en');
    expect(document.documentElement.lang).toBe('en');
    expect(startI18n(localStorage, ['vi-VN']).language).toBe('en');
  });
});
