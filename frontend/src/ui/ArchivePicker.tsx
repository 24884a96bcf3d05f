import { Select } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Archive } from '../api/pacs';
import classes from './ArchivePicker.module.css';

/** Which archive is looked at: a choice where there are several, its name where there is one. */
export function ArchivePicker({
  archives,
  value,
  onChange,
}: {
  archives: Archive[];
  value: string | null;
  onChange: (archive: string) => void;
}) {
  const { t } = useTranslation();
  if (archives.length < 2) return <span className={classes.name}>{archives[0]?.name}</span>;
  return (
    <Select
      aria-label={t('list.archive')}
      size="xs"
      className={classes.choice}
      allowDeselect={false}
      value={value}
      data={archives.map((item) => ({ value: item.archive, label: item.name }))}
      onChange={(chosen) => chosen !== null && onChange(chosen)}
    />
  );
}
