/** How far a trackpad moves for one slice, in CSS pixels. */
const PIXELS_PER_SLICE = 40;
/** A notch of a mouse wheel is at least this long; each notch is one slice. */
const NOTCH = 50;
const LINE_HEIGHT = 40;

/** Turns wheel events into whole slices: a notch of a mouse is one, a trackpad's many small ones add up. */
export class WheelSteps {
  #rest = 0;

  steps(event: Pick<WheelEvent, 'deltaY' | 'deltaMode'>): number {
    const delta = event.deltaMode === 0 ? event.deltaY : event.deltaY * LINE_HEIGHT;
    if (Math.abs(delta) >= NOTCH || event.deltaMode !== 0) {
      this.#rest = 0;
      return Math.sign(delta);
    }
    if (Math.sign(delta) !== Math.sign(this.#rest)) this.#rest = 0;
    this.#rest += delta;
    const whole = Math.trunc(this.#rest / PIXELS_PER_SLICE);
    this.#rest -= whole * PIXELS_PER_SLICE;
    // Never minus zero.
    return whole + 0;
  }
}
