import { describe, expect, it } from 'vitest';
import type { Edge } from '../api/devices';
import en from '../i18n/en.json';
import { amount, CODES, deviceLevel, duration, size, worstFirst } from './devices';

describe('amounts', () => {
  it.each([
    [0, '0 seconds', '0 giây'],
    [119, '119 seconds', '119 giây'],
    [120, '2 minutes', '2 phút'],
    [7199, '119 minutes', '119 phút'],
    [7200, '2 hours', '2 giờ'],
    [172_800, '2 days', '2 ngày'],
    [-5, '0 seconds', '0 giây'],
  ])('%d seconds are told in the largest unit of which there are two', (seconds, english, vietnamese) => {
    expect(duration('en', seconds)).toBe(english);
    expect(duration('vi', seconds)).toBe(vietnamese);
  });

  it.each([
    [999, '999 byte'],
    [1500, '1.5 kB'],
    [412e9, '412 GB'],
    [5e15, '5,000 TB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(size('en', bytes)).toBe(text);
  });

  it('fit what they are of', () => {
    expect(amount('en', { code: 'silent', level: 'red', value: 3600 })).toBe('60 minutes');
    expect(amount('en', { code: 'certificate_ends', level: 'amber', value: 12.9 })).toBe('12 days');
    expect(amount('en', { code: 'attention', level: 'amber', value: 1200 })).toBe('1,200');
    expect(amount('en', { code: 'disk_low', level: 'amber', value: 2e9 })).toBe('2 GB');
  });
});

describe('levels', () => {
  it('every code has words, and something to do', () => {
    expect(Object.keys(en.devices.finding).sort()).toEqual([...CODES].sort());
    expect(Object.keys(en.devices.action).sort()).toEqual([...CODES].sort());
  });

  it('a device is as bad as the worst that is known of it, and unknown before it was seen', () => {
    const device = { ae_title: 'CT1', heard_at: 1 };
    expect(deviceLevel(device, [])).toBe('green');
    expect(deviceLevel(device, [{ code: 'echo_failed', level: 'amber', device: 'CT2' }])).toBe('green');
    expect(deviceLevel(device, [{ code: 'echo_failed', level: 'amber', device: 'CT1' }])).toBe('amber');
    expect(deviceLevel({ ae_title: 'CT1' }, [])).toBe('unknown');
  });

  it('trouble comes first, then names as Vietnamese sorts them', () => {
    const edge = (name: string, level: Edge['level']) => ({ name, level }) as Edge;
    const names = [
      edge('Đông', 'green'),
      edge('Em', 'green'),
      edge('Bắc', 'green'),
      edge('Z', 'red'),
      edge('Y', 'amber'),
    ];
    expect(worstFirst(names).map(({ name }) => name)).toEqual(['Z', 'Y', 'Bắc', 'Đông', 'Em']);
  });
});
