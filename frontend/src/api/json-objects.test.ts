import { describe, expect, it } from 'vitest';
import { jsonObjects } from './json-objects';

async function* inChunks(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function all(text: string, size = 7): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const item of jsonObjects(inChunks(text, size))) found.push(item);
  return found;
}

const SETS = [
  { '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Nguyễn^Văn Ảnh' }] } },
  {},
  {
    text: 'braces } ] { [ , quotes " and \\ at the end \\',
    '52009230': { vr: 'SQ', Value: [{ a: {} }, { b: [1, [2]] }] },
  },
];

describe('objects out of an array that arrives', () => {
  it.each([1, 2, 3, 5, 64, 10_000])('are those of JSON.parse, in chunks of %i bytes', async (size) => {
    expect(await all(JSON.stringify(SETS), size)).toEqual(SETS);
    expect(await all(` \n${JSON.stringify(SETS, null, 2)}\r\n`, size)).toEqual(SETS);
    expect(await all('[]', size)).toEqual([]);
  });

  it.each(['', '[', '[{}', '[{}, {"a": 1]', '{"error": 1}', '[1]', '[{}] {}', '[{"a": }]', '"text"', '[{"a": "b]'])(
    'are no part of what is cut off or something else: %s',
    async (text) => {
      await expect(all(text)).rejects.toThrow(SyntaxError);
    },
  );

  it('come before the rest has arrived', async () => {
    let asked = 0;
    async function* slow(): AsyncGenerator<Uint8Array> {
      for (const part of ['[{"a":1},', '{"a":2},', '{"a":3}]']) {
        asked += 1;
        yield new TextEncoder().encode(part);
      }
    }
    const items = jsonObjects<{ a: number }>(slow());
    expect((await items.next()).value).toEqual({ a: 1 });
    expect(asked).toBe(1);
    await items.return(undefined);
  });

  it('let the page have its turn in a long answer', async () => {
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    });
    const many = Array.from({ length: 20_000 }, (_, number) => ({ number, text: 'x'.repeat(500) }));
    expect(await all(JSON.stringify(many), 1 << 16)).toHaveLength(20_000);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
  });
});
