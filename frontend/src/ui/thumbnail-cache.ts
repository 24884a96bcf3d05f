import type { Client } from '../api/client';

/** How many pictures stay at hand; about 10 KB each. */
const CAPACITY = 400;

/**
 * Thumbnails as object URLs, fetched with the token (an <img> cannot send one). Kept in memory only, oldest first out,
 * and forgotten with the session.
 */
export class ThumbnailCache {
  readonly #urls = new Map<string, string>();
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  peek(path: string, version: string): string | null {
    return this.#urls.get(`${version} ${path}`) ?? null;
  }

  async load(path: string, version: string, signal: AbortSignal): Promise<string> {
    const key = `${version} ${path}`;
    const kept = this.#urls.get(key);
    if (kept !== undefined) return kept;
    const response = await this.#client.request(path, { headers: { Accept: 'image/jpeg' }, signal });
    const url = URL.createObjectURL(await response.blob());
    this.#urls.set(key, url);
    const [oldest] = this.#urls.keys();
    if (this.#urls.size > CAPACITY && oldest !== undefined) this.#drop(oldest);
    return url;
  }

  clear(): void {
    for (const key of [...this.#urls.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    const url = this.#urls.get(key);
    if (url !== undefined) URL.revokeObjectURL(url);
    this.#urls.delete(key);
  }
}
