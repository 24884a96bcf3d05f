/** Orientation of an image in the patient (PS3.3 C.7.6.2). Patient axes: x to the left, y to the back, z to the head; mm. */

export type Vector = readonly [number, number, number];

export function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

export function toVector(values: readonly number[], from = 0): Vector | null {
  const [x, y, z] = values.slice(from, from + 3);
  return x === undefined || y === undefined || z === undefined ? null : [x, y, z];
}

/** The letters of a direction, strongest axis first ("L", "LP"); components under 0.2 are left out. */
function letters(direction: Vector): string {
  const names: readonly [string, string][] = [
    ['L', 'R'],
    ['P', 'A'],
    ['H', 'F'],
  ];
  return names
    .map(([positive, negative], axis) => {
      const component = direction[axis] ?? 0;
      return { size: Math.abs(component), letter: component > 0 ? positive : negative };
    })
    .filter(({ size }) => size >= 0.2)
    .sort((a, b) => b.size - a.size)
    .map(({ letter }) => letter)
    .join('');
}

export interface EdgeLetters {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

/** What lies at each edge of the picture, from ImageOrientationPatient (six cosines); null when it is unknown. */
export function edgeLetters(orientation: readonly number[]): EdgeLetters | null {
  const row = toVector(orientation);
  const column = toVector(orientation, 3);
  if (row === null || column === null) return null;
  const opposite = (v: Vector): Vector => [-v[0], -v[1], -v[2]];
  return { left: letters(opposite(row)), right: letters(row), top: letters(opposite(column)), bottom: letters(column) };
}
