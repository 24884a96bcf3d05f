import { act, fireEvent, render, screen } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { startI18n } from '../i18n';
import { SliceField } from './SliceField';
import type { StackController } from './StackController';

function setUp() {
  let digit: (digit: string) => void = () => undefined;
  const controller = {
    goTo: vi.fn(),
    focus: vi.fn(() => (document.activeElement as HTMLElement).blur()),
    onDigit: (listener: (digit: string) => void) => {
      digit = listener;
      return () => undefined;
    },
  };
  render(<SliceField controller={controller as unknown as StackController} index={11} count={5000} />);
  const field = screen.getByLabelText<HTMLInputElement>('Tới lát số, từ 1 đến 5000');
  return { controller, field, pressDigit: (pressed: string) => act(() => digit(pressed)) };
}

beforeEach(() => {
  document.body.innerHTML = '';
  startI18n(localStorage, ['vi']);
});

describe('the number of the slice', () => {
  it('is that of the slice asked for, and leads to the one that is typed', () => {
    const { controller, field } = setUp();
    expect(field.value).toBe('12');
    field.focus();
    fireEvent.change(field, { target: { value: '4321' } });
    fireEvent.submit(field);
    expect(controller.goTo.mock.calls).toEqual([[4320]]);
    expect(controller.focus).toHaveBeenCalled();
    expect(field.value).toBe('12');
  });

  it('is taken when the field is left, as keyboards of phones do', () => {
    const { controller, field } = setUp();
    field.focus();
    fireEvent.change(field, { target: { value: '7' } });
    fireEvent.blur(field);
    expect(controller.goTo.mock.calls).toEqual([[6]]);
  });

  it.each(['', 'x', '-1'])('stays where it is for %j', (value) => {
    const { controller, field } = setUp();
    field.focus();
    fireEvent.change(field, { target: { value } });
    fireEvent.submit(field);
    expect(controller.goTo).not.toHaveBeenCalled();
    expect(field.value).toBe('12');
  });

  it('is given up with Escape', () => {
    const { controller, field } = setUp();
    field.focus();
    fireEvent.change(field, { target: { value: '99' } });
    fireEvent.keyDown(field, { key: 'Escape' });
    expect(controller.goTo).not.toHaveBeenCalled();
    expect(field.value).toBe('12');
  });

  it('takes a digit that is pressed on the picture', () => {
    const { controller, field, pressDigit } = setUp();
    pressDigit('4');
    expect(document.activeElement).toBe(field);
    expect(field.value).toBe('4');
    fireEvent.submit(field);
    expect(controller.goTo.mock.calls).toEqual([[3]]);
  });
});
