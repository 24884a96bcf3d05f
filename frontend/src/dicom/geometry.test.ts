import { describe, expect, it } from 'vitest';
import { edgeLetters } from './geometry';

describe('the letters at the edges', () => {
  it.each([
    ['axial', [1, 0, 0, 0, 1, 0], { left: 'R', right: 'L', top: 'A', bottom: 'P' }],
    ['coronal', [1, 0, 0, 0, 0, -1], { left: 'R', right: 'L', top: 'H', bottom: 'F' }],
    ['sagittal', [0, 1, 0, 0, 0, -1], { left: 'A', right: 'P', top: 'H', bottom: 'F' }],
    ['oblique: the stronger axis first', [0.9, 0.436, 0, 0, 0, -1], { left: 'RA', right: 'LP', top: 'H', bottom: 'F' }],
  ])('are those of an %s image', (_case, orientation, letters) => {
    expect(edgeLetters(orientation)).toEqual(letters);
  });

  it('are left out when the orientation is unknown or cut short', () => {
    expect(edgeLetters([])).toBeNull();
    expect(edgeLetters([1, 0, 0])).toBeNull();
  });
});
