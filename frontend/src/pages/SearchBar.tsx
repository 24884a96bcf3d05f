import { ActionIcon, SegmentedControl, Select, TextInput } from '@mantine/core';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { isReversed, isWrongDate, MODALITIES, PRESETS, type Preset, type SearchForm } from '../api/search';
import { CloseIcon, SearchIcon } from '../ui/icons';
import classes from './SearchBar.module.css';

interface Props {
  form: SearchForm;
  onChange: (form: SearchForm) => void;
  children?: ReactNode;
}

export function SearchBar({ form, onChange, children }: Props) {
  const { t } = useTranslation();
  const wrong = (typed: string) => (isWrongDate(typed) ? t('list.wrongDate') : null);
  return (
    // biome-ignore lint/a11y/useSemanticElements: <search> is not yet announced by the screen readers in use.
    <form role="search" className={classes.bar} onSubmit={(event) => event.preventDefault()}>
      <TextInput
        className={classes.text}
        type="search"
        aria-label={t('list.search')}
        placeholder={t('list.searchHint')}
        autoComplete="off"
        spellCheck={false}
        maxLength={200}
        leftSection={<SearchIcon size={18} />}
        rightSection={
          form.text !== '' && (
            <ActionIcon
              variant="transparent"
              color="gray.7"
              aria-label={t('list.clear')}
              onClick={() => onChange({ ...form, text: '' })}
            >
              <CloseIcon size={16} />
            </ActionIcon>
          )
        }
        value={form.text}
        onChange={(event) => onChange({ ...form, text: event.currentTarget.value })}
      />
      <div className={classes.period}>
        <SegmentedControl
          size="sm"
          aria-label={t('list.period')}
          value={form.preset}
          onChange={(preset) => onChange({ ...form, preset: preset as Preset })}
          data={PRESETS.map((preset) => ({ value: preset, label: t(`list.preset.${preset}`) }))}
        />
      </div>
      {form.preset === 'custom' && (
        <div className={classes.dates}>
          <TextInput
            aria-label={t('list.from')}
            placeholder={t('list.datePlaceholder')}
            inputMode="numeric"
            value={form.from}
            error={wrong(form.from)}
            onChange={(event) => onChange({ ...form, from: event.currentTarget.value })}
          />
          <TextInput
            aria-label={t('list.to')}
            placeholder={t('list.datePlaceholder')}
            inputMode="numeric"
            value={form.to}
            error={wrong(form.to) ?? (isReversed(form) ? t('list.reversed') : null)}
            onChange={(event) => onChange({ ...form, to: event.currentTarget.value })}
          />
        </div>
      )}
      <Select
        className={classes.modality}
        aria-label={t('list.modality')}
        placeholder={t('list.anyModality')}
        clearable
        clearButtonProps={{ 'aria-label': t('list.anyModality') }}
        value={form.modality}
        data={[...MODALITIES]}
        onChange={(modality) => onChange({ ...form, modality })}
      />
      <div className={classes.rest}>{children}</div>
    </form>
  );
}
