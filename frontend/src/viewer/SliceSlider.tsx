import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import classes from './SliceSlider.module.css';

interface Props {
  /** 0-based. */
  index: number;
  count: number;
  loaded: number;
  onChange: (index: number) => void;
  /** What stands beside it. */
  children?: ReactNode;
}

/** Upright at the right of the picture, lying under it on a phone; the bar beside it fills as slices load. */
export function SliceSlider({ index, count, loaded, onChange, children }: Props) {
  const { t } = useTranslation();
  return (
    <div className={classes.slider}>
      <div className={classes.track}>
        <input
          type="range"
          className={classes.range}
          min={1}
          max={count}
          step={1}
          value={index + 1}
          aria-label={t('viewer.sliceSlider')}
          aria-valuetext={t('viewer.slice', { index: index + 1, count })}
          onChange={(event) => onChange(Number(event.currentTarget.value) - 1)}
        />
        <progress
          className={classes.progress}
          value={loaded}
          max={count}
          aria-label={t('viewer.loaded', { loaded, count })}
          title={t('viewer.loaded', { loaded, count })}
          data-complete={loaded >= count}
        />
      </div>
      {children}
    </div>
  );
}
