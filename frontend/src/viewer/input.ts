import type { Tool } from './tools';
import { WheelSteps } from './wheel';

/** What hands can do to a stack; StackController is one. */
export interface Handled {
  readonly count: number;
  readonly state: { tool: Tool };
  step(slices: number): void;
  goTo(index: number): void;
  digit(digit: string): void;
  invert(): void;
  fit(): void;
  reset(): void;
  zoomBy(factor: number): void;
}

/** While dragging, the whole series lies within the height of the picture, but no slice is thinner than this; CSS pixels. */
const THINNEST = 4;
/** And none is thicker than an eighth of the picture. */
const FEWEST = 8;

/** Wheel, keys and the dragging that scrolls; Cornerstone's own tools see the same pointers beside it. */
export class StackInput {
  readonly #element: HTMLElement;
  readonly #stack: Handled;
  readonly #wheel = new WheelSteps();
  /** Where each pressed button or finger was last, in CSS pixels from the top. */
  readonly #pointers = new Map<number, number>();
  #dragged = 0;

  constructor(element: HTMLElement, stack: Handled, signal: AbortSignal) {
    this.#element = element;
    this.#stack = stack;
    element.addEventListener('wheel', (event) => this.#turn(event), { signal, passive: false });
    element.addEventListener('contextmenu', (event) => event.preventDefault(), { signal });
    element.addEventListener('keydown', (event) => this.#key(event), { signal });
    element.addEventListener('pointerdown', (event) => this.#press(event), { signal });
    window.addEventListener('pointermove', (event) => this.#move(event), { signal });
    for (const end of ['pointerup', 'pointercancel'] as const) {
      window.addEventListener(end, (event) => this.#pointers.delete(event.pointerId), { signal });
    }
  }

  /** Whether a button or a finger is down on the picture. */
  get pressed(): boolean {
    return this.#pointers.size > 0;
  }

  #turn(event: WheelEvent): void {
    event.preventDefault();
    const steps = this.#wheel.steps(event);
    if (steps !== 0) this.#stack.step(steps);
  }

  #press(event: PointerEvent): void {
    this.#pointers.set(event.pointerId, event.clientY);
    this.#dragged = 0;
    this.#element.focus({ preventScroll: true });
  }

  #move(event: PointerEvent): void {
    const last = this.#pointers.get(event.pointerId);
    if (last === undefined) return;
    this.#pointers.set(event.pointerId, event.clientY);
    if (this.#stack.state.tool !== 'scroll' || this.#pointers.size !== 1) return;
    if (event.pointerType === 'mouse' && (event.buttons & 1) === 0) return;
    const perSlice = Math.max(THINNEST, this.#element.clientHeight / Math.max(this.#stack.count, FEWEST));
    this.#dragged += event.clientY - last;
    const slices = Math.trunc(this.#dragged / perSlice);
    if (slices === 0) return;
    this.#dragged -= slices * perSlice;
    this.#stack.step(slices);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const stack = this.#stack;
    const actions: Record<string, () => void> = {
      ArrowDown: () => stack.step(1),
      ArrowRight: () => stack.step(1),
      ArrowUp: () => stack.step(-1),
      ArrowLeft: () => stack.step(-1),
      PageDown: () => stack.step(10),
      PageUp: () => stack.step(-10),
      Home: () => stack.goTo(0),
      End: () => stack.goTo(stack.count - 1),
      i: () => stack.invert(),
      f: () => stack.fit(),
      r: () => stack.reset(),
      '+': () => stack.zoomBy(1.2),
      '-': () => stack.zoomBy(1 / 1.2),
    };
    const action = /^\d$/.test(event.key) ? () => stack.digit(event.key) : actions[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }
}
