import { Enums, getShouldUseCPURendering, RenderingEngine, type Types } from '@cornerstonejs/core';
import type { Pack } from '../api/pacs';
import { announce } from './cornerstone';
import type { Frame } from './frames';
import { StackInput } from './input';
import { SeriesSource } from './SeriesSource';
import { type Tool, ToolSet } from './tools';
import { type GreyWindow, type Range, sameRange, toRange, toWindow } from './windows';

export interface StackState {
  /** The slice asked for, 0-based. */
  index: number;
  /** The slice whose picture is on the screen; null before the first. */
  shown: number | null;
  /** How it stands with the slice asked for. */
  status: 'loading' | 'shown' | 'failed';
  loaded: number;
  window: GreyWindow | null;
  /** Relative to the whole picture in the frame; null where it is not known (drawn without WebGL). */
  zoom: number | null;
  inverted: boolean;
  tool: Tool;
  withoutWebGL: boolean;
}

const VIEWPORT = 'stack';
/** A slice passed faster than this while scrolling is not asked for. */
const SETTLE_MS = 25;

let stacks = 0;

/**
 * One series on the screen: Cornerstone draws, this says what. Every way to another slice goes through `goTo`, and the
 * viewport is told of a slice only when its picture is decoded: so the number shown is always that of the picture shown, and
 * a frame that fails is seen as failed instead of leaving its neighbour's picture in its place.
 */
export class StackController {
  readonly #element: HTMLDivElement;
  readonly #frames: readonly Frame[];
  readonly #ids: string[];
  readonly #engine: RenderingEngine;
  readonly #tools: ToolSet;
  readonly #input: StackInput;
  readonly #listeners = new Set<() => void>();
  readonly #digitListeners = new Set<(digit: string) => void>();
  readonly #slices: SeriesSource;
  readonly #abort = new AbortController();
  readonly #resize: ResizeObserver;
  #state: StackState;
  #stacked = false;
  #chosenRange: Range | null = null;
  #frameRequest = 0;

  /** `packs` asks where the frames lie; if that cannot be had, each frame is asked for. */
  constructor(element: HTMLDivElement, frames: readonly Frame[], tool: Tool, packs: () => Promise<readonly Pack[]>) {
    this.#element = element;
    this.#frames = frames;
    this.#ids = frames.map(({ imageId }) => imageId);
    this.#slices = new SeriesSource(frames, packs, () => this.#changeSoon());
    stacks += 1;
    this.#engine = new RenderingEngine(`maypacs-${stacks}`);
    this.#state = {
      index: 0,
      shown: null,
      status: 'loading',
      loaded: 0,
      window: null,
      zoom: null,
      inverted: false,
      tool,
      withoutWebGL: getShouldUseCPURendering(),
    };
    announce(frames);
    this.#engine.enableElement({
      viewportId: VIEWPORT,
      type: Enums.ViewportType.STACK,
      element,
      defaultOptions: { background: [0, 0, 0] },
    });
    this.#tools = new ToolSet(`maypacs-tools-${stacks}`, VIEWPORT, this.#engine.id, tool);
    this.#input = new StackInput(element, this, this.#abort.signal);
    this.#listen();
    this.#resize = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientHeight > 0) this.#engine.resize(true, true);
    });
    this.#resize.observe(element);
    this.goTo(0);
  }

  get count(): number {
    return this.#frames.length;
  }

  get state(): StackState {
    return this.#state;
  }

  /** For `useSyncExternalStore`. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Tells of digits that are typed on the picture. */
  onDigit(listener: (digit: string) => void): () => void {
    this.#digitListeners.add(listener);
    return () => this.#digitListeners.delete(listener);
  }

  digit(digit: string): void {
    for (const listener of this.#digitListeners) listener(digit);
  }

  /** The keys go to the picture. */
  focus(): void {
    this.#element.focus({ preventScroll: true });
  }

  destroy(): void {
    this.#abort.abort();
    this.#resize.disconnect();
    cancelAnimationFrame(this.#frameRequest);
    this.#slices.stop();
    this.#listeners.clear();
    this.#tools.destroy();
    this.#engine.destroy();
  }

  step(slices: number): void {
    this.goTo(this.#state.index + slices);
  }

  goTo(wanted: number): void {
    const index = Math.max(0, Math.min(this.#frames.length - 1, wanted));
    if (index === this.#state.index && this.#state.status !== 'failed' && this.#stacked) return;
    this.#change({ index, status: 'loading' });
    void this.#show(index);
  }

  /** Asks again for the slice that failed. */
  retry(): void {
    this.#change({ status: 'loading' });
    void this.#show(this.#state.index);
  }

  setTool(tool: Tool): void {
    this.#change({ tool });
    this.#tools.choose(tool);
  }

  /** A window of the person's choice; null goes back to that of the image. */
  setWindow(window: GreyWindow | null): void {
    if (!this.#stacked) return;
    const viewport = this.#viewport();
    this.#chosenRange = window === null ? null : toRange(window);
    if (this.#chosenRange === null) {
      const { inverted } = this.#state;
      viewport.resetProperties();
      viewport.setProperties({ invert: inverted });
    } else viewport.setProperties({ voiRange: this.#chosenRange });
    viewport.render();
    this.#read();
  }

  invert(): void {
    if (!this.#stacked) return;
    const viewport = this.#viewport();
    const inverted = !(viewport.getProperties().invert ?? false);
    viewport.setProperties({ invert: inverted });
    viewport.render();
    this.#change({ inverted });
  }

  fit(): void {
    if (!this.#stacked) return;
    this.#viewport().resetCamera();
    this.#viewport().render();
    this.#read();
  }

  reset(): void {
    if (!this.#stacked) return;
    this.#chosenRange = null;
    const viewport = this.#viewport();
    viewport.resetProperties();
    viewport.resetCamera();
    viewport.render();
    this.#read();
  }

  zoomBy(factor: number): void {
    if (!this.#stacked) return;
    const viewport = this.#viewport();
    viewport.setZoom(viewport.getZoom() * factor);
    viewport.render();
    this.#read();
  }

  #viewport(): Types.IStackViewport {
    return this.#engine.getViewport(VIEWPORT) as Types.IStackViewport;
  }

  #gone(): boolean {
    return this.#abort.signal.aborted;
  }

  #change(part: Partial<StackState>): void {
    this.#state = { ...this.#state, ...part };
    for (const listener of this.#listeners) listener();
  }

  async #show(index: number): Promise<void> {
    const wanted = () => !this.#gone() && this.#state.index === index;
    if (!this.#slices.has(index)) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      if (!wanted()) return;
    }
    try {
      await this.#slices.now(index);
      if (!wanted()) return;
      const viewport = this.#viewport();
      if (this.#stacked) await viewport.setImageIdIndex(index);
      else {
        this.#stacked = true;
        await viewport.setStack(this.#ids, index);
      }
      if (!wanted()) return;
      this.#keepWindow(viewport);
      viewport.render();
      this.#change({ status: 'shown', shown: index });
      this.#read();
    } catch {
      if (wanted()) this.#change({ status: 'failed' });
    }
    if (!this.#gone()) this.#slices.around(index);
  }

  /** Without WebGL a new slice comes with its own window: the chosen one and the inversion are put back. */
  #keepWindow(viewport: Types.IStackViewport): void {
    const { voiRange, invert } = viewport.getProperties();
    if (this.#chosenRange !== null && !sameRange(voiRange, this.#chosenRange)) {
      viewport.setProperties({ voiRange: this.#chosenRange });
    }
    if (this.#state.withoutWebGL && this.#state.inverted !== (invert ?? false)) {
      viewport.setProperties({ invert: this.#state.inverted });
    }
  }

  /** The count of loaded slices changes often: told at most once a screen refresh. */
  #changeSoon(): void {
    if (this.#frameRequest !== 0) return;
    this.#frameRequest = requestAnimationFrame(() => {
      this.#frameRequest = 0;
      if (!this.#gone()) this.#change({ loaded: this.#slices.loaded });
    });
  }

  /** What the viewport says of itself. */
  #read(): void {
    if (!this.#stacked || this.#gone()) return;
    const viewport = this.#viewport();
    const { voiRange, invert } = viewport.getProperties();
    this.#change({
      window: voiRange ? toWindow(voiRange) : null,
      zoom: this.#state.withoutWebGL ? null : viewport.getZoom(),
      inverted: invert ?? false,
    });
  }

  #listen(): void {
    const element = this.#element;
    const options = { signal: this.#abort.signal };
    element.addEventListener(
      Enums.Events.VOI_MODIFIED,
      () => {
        const { voiRange } = this.#viewport().getProperties();
        if (this.#input.pressed && this.#state.tool === 'window' && voiRange) this.#chosenRange = voiRange;
        this.#read();
      },
      options,
    );
    element.addEventListener(Enums.Events.CAMERA_MODIFIED, () => this.#read(), options);
  }
}
