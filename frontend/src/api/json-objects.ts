const [QUOTE, BACKSLASH, OPEN, CLOSE, LIST, END] = Array.from('"\\{}[]', (sign) => sign.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
  number,
];
const COMMA = ','.charCodeAt(0);

/** A page that works for so long without a pause is felt to be stuck, ms. */
const WORK_MS = 12;

/**
 * The objects of a JSON array (RFC 8259), one by one as its bytes arrive; in between, the page gets its turn. An answer of
 * many megabytes is never there as a whole, neither as text nor as objects. Throws SyntaxError for anything but a whole array
 * of objects.
 */
export async function* jsonObjects<T>(body: AsyncIterable<Uint8Array>): AsyncGenerator<T> {
  const splitter = new ObjectSplitter();
  let since = performance.now();
  for await (const chunk of body) {
    for (const text of splitter.push(chunk)) {
      yield JSON.parse(text) as T;
      if (performance.now() - since < WORK_MS) continue;
      await new Promise((resolve) => setTimeout(resolve));
      since = performance.now();
    }
  }
  splitter.end();
}

/** Where each object of an array begins and ends; what is inside is left to JSON.parse. */
class ObjectSplitter {
  readonly #decoder = new TextDecoder();
  /** Of the object that has begun, the part in earlier chunks. */
  #begun = '';
  #depth = 0;
  #inText = false;
  #escaped = false;
  #list: 'before' | 'inside' | 'after' = 'before';

  push(chunk: Uint8Array): string[] {
    const found: string[] = [];
    // Every byte passes here: what changes with each is not looked up in the object.
    let [start, depth, inText, escaped] = [0, this.#depth, this.#inText, this.#escaped];
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (inText) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inText = false;
      } else if (depth === 0) {
        if (byte !== OPEN || this.#list !== 'inside') this.#between(byte);
        else [depth, start] = [1, at];
      } else if (byte === QUOTE) inText = true;
      else if (byte === OPEN) depth += 1;
      else if (byte === CLOSE) {
        depth -= 1;
        if (depth > 0) continue;
        found.push(this.#begun + this.#decoder.decode(chunk.subarray(start, at + 1)));
        this.#begun = '';
      }
    }
    if (depth > 0) this.#begun += this.#decoder.decode(chunk.subarray(start), { stream: true });
    [this.#depth, this.#inText, this.#escaped] = [depth, inText, escaped];
    return found;
  }

  end(): void {
    if (this.#list !== 'after') throw new SyntaxError('the array has no end');
  }

  /** What stands between the objects. */
  #between(byte: number | undefined): void {
    if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) return;
    if (byte === LIST && this.#list === 'before') this.#list = 'inside';
    else if (byte === END && this.#list === 'inside') this.#list = 'after';
    else if (byte !== COMMA || this.#list !== 'inside') throw new SyntaxError('not an array of objects');
  }
}
