import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import classes from './SliceField.module.css';
import type { StackController } from './StackController';
import { sliceTyped } from './typed';

interface Props {
  controller: StackController;
  /** The slice asked for, 0-based. */
  index: number;
  count: number;
}

/**
 * The number of the slice, to be typed over: Enter, or leaving the field, goes there; Escape leaves things as they are.
 * A digit typed on the picture begins here.
 */
export function SliceField({ controller, index, count }: Props) {
  const { t } = useTranslation();
  const field = useRef<HTMLInputElement>(null);
  /** What is typed; null while nobody types. Leaving the field comes before the next drawing: it reads `typed`. */
  const [draft, setDraft] = useState<string | null>(null);
  const typed = useRef<string | null>(null);
  const type = (text: string | null) => {
    typed.current = text;
    setDraft(text);
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: `type` is the same whenever it is made.
  useEffect(
    () =>
      controller.onDigit((digit) => {
        field.current?.focus();
        type(digit);
      }),
    [controller],
  );

  const go = () => {
    const slice = sliceTyped(typed.current, count);
    type(null);
    if (slice !== null) controller.goTo(slice);
  };
  return (
    <form
      className={classes.field}
      onSubmit={(event) => {
        event.preventDefault();
        go();
        controller.focus();
      }}
    >
      <input
        ref={field}
        className={classes.input}
        style={{ width: `${String(count).length + 2.5}ch` }}
        inputMode="numeric"
        enterKeyHint="go"
        autoComplete="off"
        value={draft ?? index + 1}
        aria-label={t('viewer.goToSlice', { count })}
        onFocus={(event) => event.currentTarget.select()}
        onChange={(event) => type(event.currentTarget.value)}
        onBlur={go}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          type(null);
          controller.focus();
        }}
      />
      <span aria-hidden="true">{t('viewer.ofSlices', { count })}</span>
    </form>
  );
}
