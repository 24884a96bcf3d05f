import { describe, expect, it } from 'vitest';
import { formatPersonName } from './person-name';

describe('a person name', () => {
  it.each([
    ['family and given', { Alphabetic: 'Nguyễn^Văn Thử' }, 'Nguyễn Văn Thử'],
    ['empty components', { Alphabetic: 'Trần^^Thị^^' }, 'Trần Thị'],
    ['padding and doubled spaces', { Alphabetic: ' Lê ^ Hoàng  Mẫu ' }, 'Lê Hoàng Mẫu'],
    [
      'an ideographic group in brackets',
      { Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎' },
      'Yamada Tarou (山田 太郎)',
    ],
    ['an ideographic group alone', { Ideographic: '山田^太郎' }, '山田 太郎'],
    ['the wire form with groups', 'Yamada^Tarou=山田^太郎', 'Yamada Tarou (山田 太郎)'],
    ['nothing', {}, ''],
    ['null', null, ''],
    ['undefined', undefined, ''],
  ])('shows %s', (_case, name, shown) => {
    expect(formatPersonName(name)).toBe(shown);
  });

  it('is composed, so that marks sit on their letters in every font', () => {
    expect(formatPersonName({ Alphabetic: 'Nguyễn^Đức'.normalize('NFD') })).toBe('Nguyễn Đức'.normalize('NFC'));
  });
});
