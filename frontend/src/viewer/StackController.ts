import { Enums, eventTarget, getShouldUseCPURendering, RenderingEngine, type Types } from '@cornerstonejs/core';
import { PanTool, Enums as ToolEnums, ToolGroupManager, WindowLevelTool, ZoomTool } from '@cornerstonejs/tools';
import { announce, CACHE_BYTES, loadImage } from './cornerstone';
import type { Frame } from './frames';
import { nextToLoad, reachFor } from './prefetch';
import { WheelSteps } from './wheel';
import { type GreyWindow, type Range, sameRange, toRange, toWindow } from './windows';

export const TOOLS = ['window', 'scroll', 'zoom', 'pan'] as const;
export type Tool = (typeof TOOLS)[number];

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
/** Requests for pictures at the same time, beside the one waited for. */
const PARALLEL = 4;
/** A slice passed faster than this while scrolling is not asked for. */
const SETTLE_MS = 25;
/** Part of the cache for prefetched pictures; the rest is room for what is being decoded. */
const PREFETCH_SHARE = 0.8;

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
  readonly #toolGroup: string;
  readonly #listeners = new Set<() => void>();
  readonly #loaded = new Set<number>();
  readonly #failed = new Set<number>();
  readonly #inFlight = new Set<number>();
  readonly #abort = new AbortController();
  readonly #resize: ResizeObserver;
  #state: StackState;
  #stacked = false;
  #chosenRange: Range | null = null;
  #pointers = new Set<number>();
  #dragged = 0;
  #reach: number;
  #frameRequest = 0;

  constructor(element: HTMLDivElement, frames: readonly Frame[], tool: Tool) {
    this.#element = element;
    this.#frames = frames;
    this.#ids = frames.map(({ imageId }) => imageId);
    this.#reach = Math.min(frames.length, 64);
    stacks += 1;
    this.#engine = new RenderingEngine(`maypacs-${stacks}`);
    this.#toolGroup = `maypacs-tools-${stacks}`;
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
    this.#startTools();
    this.#listen();
    this.#resize = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientHeight > 0) this.#engine.resize(true, true);
    });
    this.#resize.observe(element);
    this.goTo(0);
  }

  get state(): StackState {
    return this.#state;
  }

  /** For `useSyncExternalStore`. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  destroy(): void {
    this.#abort.abort();
    this.#resize.disconnect();
    cancelAnimationFrame(this.#frameRequest);
    this.#listeners.clear();
    ToolGroupManager.destroyToolGroup(this.#toolGroup);
    this.#engine.destroy();
  }

  step(slices: number): void {
    this.goTo(this.#state.index + slices);
  }

  goTo(wanted: number): void {
    const index = Math.max(0, Math.min(this.#frames.length - 1, wanted));
    if (index === this.#state.index && this.#state.status !== 'failed' && this.#stacked) return;
    const status = this.#failed.has(index) ? 'failed' : 'loading';
    this.#change({ index, status });
    void this.#show(index);
  }

  /** Asks again for the slice that failed. */
  retry(): void {
    this.#failed.delete(this.#state.index);
    this.#change({ status: 'loading' });
    void this.#show(this.#state.index);
  }

  setTool(tool: Tool): void {
    this.#change({ tool });
    this.#bindTools();
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
    if (!this.#loaded.has(index)) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      if (!wanted()) return;
    }
    try {
      await this.#load(index, Enums.RequestType.Interaction);
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
    this.#prefetch();
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

  async #load(index: number, requestType: Enums.RequestType): Promise<void> {
    const imageId = this.#ids[index];
    if (imageId === undefined) throw new Error(`no slice ${index}`);
    const priority = requestType === Enums.RequestType.Interaction ? -5 : 5;
    try {
      const image = await loadImage(imageId, { requestType, priority });
      if (this.#gone()) return;
      this.#reach = Math.min(this.#frames.length, reachFor(CACHE_BYTES * PREFETCH_SHARE, image.sizeInBytes));
      this.#failed.delete(index);
      if (!this.#loaded.has(index)) {
        this.#loaded.add(index);
        this.#changeSoon();
      }
    } catch (error) {
      this.#failed.add(index);
      this.#loaded.delete(index);
      throw error;
    }
  }

  /** Keeps a few requests going for the slices nearest to the one on the screen. */
  #prefetch(): void {
    while (!this.#gone() && this.#inFlight.size < PARALLEL) {
      const taken = new Set([...this.#loaded, ...this.#failed, ...this.#inFlight]);
      const index = nextToLoad({ current: this.#state.index, count: this.#frames.length, taken, reach: this.#reach });
      if (index === null) return;
      this.#inFlight.add(index);
      void this.#load(index, Enums.RequestType.Prefetch)
        .catch(() => undefined)
        .finally(() => {
          this.#inFlight.delete(index);
          this.#prefetch();
        });
    }
  }

  /** The count of loaded slices changes often: told at most once a screen refresh. */
  #changeSoon(): void {
    if (this.#frameRequest !== 0) return;
    this.#frameRequest = requestAnimationFrame(() => {
      this.#frameRequest = 0;
      if (!this.#gone()) this.#change({ loaded: this.#loaded.size });
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

  #startTools(): void {
    const group = ToolGroupManager.createToolGroup(this.#toolGroup);
    if (group === undefined) throw new Error('a tool group of this name exists');
    for (const { toolName } of [WindowLevelTool, PanTool, ZoomTool]) group.addTool(toolName);
    group.addViewport(VIEWPORT, this.#engine.id);
    this.#bindTools();
  }

  /** The chosen tool has the first button and one finger; panning and zooming are always on the others and on two fingers. */
  #bindTools(): void {
    const group = ToolGroupManager.getToolGroup(this.#toolGroup);
    if (group === undefined) return;
    const { MouseBindings } = ToolEnums;
    const first = (tool: Tool) => (this.#state.tool === tool ? [{ mouseButton: MouseBindings.Primary }] : []);
    const bindings = [
      { name: WindowLevelTool.toolName, bindings: first('window') },
      { name: PanTool.toolName, bindings: [...first('pan'), { mouseButton: MouseBindings.Auxiliary }] },
      {
        name: ZoomTool.toolName,
        bindings: [...first('zoom'), { mouseButton: MouseBindings.Secondary }, { numTouchPoints: 2 }],
      },
    ];
    for (const { name } of bindings) group.setToolPassive(name, { removeAllBindings: true });
    for (const tool of bindings)
      if (tool.bindings.length > 0) group.setToolActive(tool.name, { bindings: tool.bindings });
  }

  #listen(): void {
    const element = this.#element;
    const options = { signal: this.#abort.signal };
    const wheel = new WheelSteps();
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const steps = wheel.steps(event);
      if (steps !== 0) this.step(steps);
    };
    element.addEventListener('wheel', onWheel, { ...options, passive: false });
    element.addEventListener('contextmenu', (event) => event.preventDefault(), options);
    element.addEventListener('pointerdown', (event) => this.#pointerDown(event), options);
    window.addEventListener('pointermove', (event) => this.#pointerMove(event), options);
    for (const end of ['pointerup', 'pointercancel'] as const) {
      window.addEventListener(end, (event) => this.#pointers.delete(event.pointerId), options);
    }
    element.addEventListener(
      Enums.Events.VOI_MODIFIED,
      () => {
        const { voiRange } = this.#viewport().getProperties();
        if (this.#pointers.size > 0 && this.#state.tool === 'window' && voiRange) this.#chosenRange = voiRange;
        this.#read();
      },
      options,
    );
    // Pushed out of the cache by others: to be asked for again when it comes near.
    const onRemoved = (event: Event) => {
      const { imageId } = (event as CustomEvent<{ imageId: string }>).detail;
      this.#loaded.delete(this.#ids.indexOf(imageId));
    };
    eventTarget.addEventListener(Enums.Events.IMAGE_CACHE_IMAGE_REMOVED, onRemoved);
    this.#abort.signal.addEventListener('abort', () =>
      eventTarget.removeEventListener(Enums.Events.IMAGE_CACHE_IMAGE_REMOVED, onRemoved),
    );
    element.addEventListener(Enums.Events.CAMERA_MODIFIED, () => this.#read(), options);
    element.addEventListener('keydown', (event) => this.#key(event), options);
  }

  #pointerDown(event: PointerEvent): void {
    this.#pointers.add(event.pointerId);
    this.#dragged = 0;
    this.#element.focus({ preventScroll: true });
  }

  /** Scrolling by dragging: the whole series lies within the height of the picture, and no slice is thinner than 4 px. */
  #pointerMove(event: PointerEvent): void {
    if (this.#state.tool !== 'scroll' || this.#pointers.size !== 1 || !this.#pointers.has(event.pointerId)) return;
    if (event.pointerType === 'mouse' && (event.buttons & 1) === 0) return;
    const perSlice = Math.max(4, this.#element.clientHeight / Math.max(this.#frames.length, 8));
    this.#dragged += event.movementY;
    const slices = Math.trunc(this.#dragged / perSlice);
    if (slices === 0) return;
    this.#dragged -= slices * perSlice;
    this.step(slices);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.#frames.length - 1;
    const actions: Record<string, () => void> = {
      ArrowDown: () => this.step(1),
      ArrowRight: () => this.step(1),
      ArrowUp: () => this.step(-1),
      ArrowLeft: () => this.step(-1),
      PageDown: () => this.step(10),
      PageUp: () => this.step(-10),
      Home: () => this.goTo(0),
      End: () => this.goTo(last),
      i: () => this.invert(),
      f: () => this.fit(),
      r: () => this.reset(),
      '+': () => this.zoomBy(1.2),
      '-': () => this.zoomBy(1 / 1.2),
    };
    const action = actions[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }
}
