import { useTranslation } from 'react-i18next';
import { CheckIcon, QuestionIcon, StopIcon, WarningIcon } from './icons';
import classes from './LevelBadge.module.css';

const ICONS = { green: CheckIcon, amber: WarningIcon, red: StopIcon, unknown: QuestionIcon };

/** How something is: a colour, a shape and a word, so that no one of them is needed. */
export function LevelBadge({ level }: { level: keyof typeof ICONS }) {
  const { t } = useTranslation();
  const Shape = ICONS[level];
  return (
    <span className={classes.badge} data-level={level}>
      <Shape size={16} />
      {t(`devices.level.${level}`)}
    </span>
  );
}
