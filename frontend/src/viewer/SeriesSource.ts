import { cache, Enums, eventTarget } from '@cornerstonejs/core';
import type { Pack } from '../api/pacs';
import { CACHE_BYTES, decode, loadImage } from './cornerstone';
import { decodedBytes, type Frame } from './frames';
import { PackStream } from './PackStream';
import { type PackedFrame, packedFrames } from './packs';
import { SliceLoader } from './SliceLoader';

/** Part of the cache for pictures that are kept; the rest is room for what is being decoded. */
const KEPT_SHARE = 0.8;
/** A series of fewer frames in packs is asked for by the frame. */
const STREAM_FROM = 8;
/** Packs that could not be had are asked for again so long after, when the person moves: their addresses end, networks come back. */
const AGAIN_MS = 10_000;

/** The pictures of one series: streamed out of its packs as far as they lie there, asked for one by one else. */
export class SeriesSource {
  readonly #frames: readonly Frame[];
  readonly #askPacks: () => Promise<readonly Pack[]>;
  readonly #slices: SliceLoader;
  /** Null: the packs are not known yet. */
  #stream: PackStream | null = null;
  /** The packs are being asked for. */
  #asking = false;
  /** When the packs could not be had, ms; null when they could. */
  #failedAt: number | null = null;
  #current = 0;
  readonly #abort = new AbortController();

  /** `packs` asks where the frames lie; `onLoaded` hears that the number of loaded slices has changed. */
  constructor(frames: readonly Frame[], packs: () => Promise<readonly Pack[]>, onLoaded: () => void) {
    this.#frames = frames;
    this.#askPacks = packs;
    this.#slices = new SliceLoader({
      count: frames.length,
      budget: CACHE_BYTES * KEPT_SHARE,
      bytes: frames.reduce((most, { dataset }) => Math.max(most, decodedBytes(dataset)), 0),
      load: (index, urgent) => this.#load(index, urgent),
      comes: (index) => this.#stream?.brings(index) ?? false,
      drop: (index) => this.#drop(index),
      onLoaded,
    });
    this.#listen();
    void this.#openStream();
  }

  get loaded(): number {
    return this.#slices.loaded;
  }

  has(index: number): boolean {
    return this.#slices.has(index);
  }

  /** Loads a slice that a person waits for. Rejects when it cannot be had or decoded. */
  now(index: number): Promise<void> {
    this.#current = index;
    return this.#slices.now(index);
  }

  /** Goes on loading around the slice on the screen. */
  around(index: number): void {
    this.#current = index;
    if (this.#stream === null) return;
    if (this.#failedAt !== null && Date.now() - this.#failedAt > AGAIN_MS && !this.#isAllThere())
      void this.#openStream();
    this.#stream.from(index);
    this.#slices.around(index);
  }

  stop(): void {
    this.#abort.abort();
    this.#slices.stop();
    this.#stream?.stop();
  }

  #isAllThere(): boolean {
    const { first, last } = this.#slices.span(this.#current);
    for (let index = first; index <= last; index += 1) if (!this.#slices.has(index)) return false;
    return true;
  }

  async #openStream(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const packs = await this.#askPacks().catch(() => null);
    this.#asking = false;
    if (this.#abort.signal.aborted) return;
    this.#failedAt = packs === null ? Date.now() : null;
    const frames = packedFrames(packs ?? [], this.#frames);
    this.#stream = new PackStream({
      frames: frames.length >= STREAM_FROM ? frames : [],
      fetch: (url, init) => fetch(url, init),
      has: (index) => this.#slices.has(index),
      span: (index) => this.#slices.span(index),
      deliver: (frame, content) => this.#decode(frame, content),
      onEnd: () => this.#ended(),
    });
    this.around(this.#current);
  }

  #ended(): void {
    if (this.#abort.signal.aborted) return;
    if (this.#stream?.failed) this.#failedAt = Date.now();
    this.#slices.around(this.#current);
  }

  async #decode({ index, transferSyntax }: PackedFrame, bytes: Uint8Array): Promise<void> {
    const imageId = this.#frames[index]?.imageId;
    if (imageId === undefined || this.#abort.signal.aborted) return;
    const options = { requestType: Enums.RequestType.Prefetch, priority: 5 };
    await this.#slices.came(index, async () => (await decode(imageId, { bytes, transferSyntax }, options)).sizeInBytes);
  }

  async #load(index: number, urgent: boolean): Promise<number> {
    const imageId = this.#frames[index]?.imageId;
    if (imageId === undefined) throw new Error(`no slice ${index}`);
    const { Interaction, Prefetch } = Enums.RequestType;
    const options = urgent ? { requestType: Interaction, priority: -5 } : { requestType: Prefetch, priority: 5 };
    return (await loadImage(imageId, options)).sizeInBytes;
  }

  #drop(index: number): void {
    const imageId = this.#frames[index]?.imageId;
    if (imageId === undefined || cache.getImageLoadObject(imageId) === undefined) return;
    cache.removeImageLoadObject(imageId, { force: true });
  }

  /** Pushed out of the cache by pictures of others: to be asked for again when it comes near. */
  #listen(): void {
    const indexes = new Map(this.#frames.map(({ imageId }, index) => [imageId, index]));
    const onRemoved = (event: Event) => {
      const index = indexes.get((event as CustomEvent<{ imageId: string }>).detail.imageId);
      if (index !== undefined) this.#slices.forget(index);
    };
    eventTarget.addEventListener(Enums.Events.IMAGE_CACHE_IMAGE_REMOVED, onRemoved);
    this.#abort.signal.addEventListener('abort', () =>
      eventTarget.removeEventListener(Enums.Events.IMAGE_CACHE_IMAGE_REMOVED, onRemoved),
    );
  }
}
