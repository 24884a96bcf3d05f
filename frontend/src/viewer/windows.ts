/** Grey windows (PS3.3 C.11.2.1.2): width and level in the units of the image, HU for CT. */
export interface GreyWindow {
  width: number;
  level: number;
}

export const CT_PRESETS = {
  lung: { width: 1500, level: -600 },
  mediastinum: { width: 400, level: 40 },
  abdomen: { width: 350, level: 50 },
  brain: { width: 80, level: 40 },
  bone: { width: 2000, level: 500 },
} as const satisfies Record<string, GreyWindow>;

export type PresetName = keyof typeof CT_PRESETS;
export const PRESET_NAMES = Object.keys(CT_PRESETS) as PresetName[];

export interface Range {
  lower: number;
  upper: number;
}

/** The linear function of the standard: level c, width w cover [c - 0.5 - (w-1)/2, c - 0.5 + (w-1)/2]. */
export function toRange({ width, level }: GreyWindow): Range {
  const half = (Math.max(1, width) - 1) / 2;
  return { lower: level - 0.5 - half, upper: level - 0.5 + half };
}

export function toWindow({ lower, upper }: Range): GreyWindow {
  return { width: Math.abs(upper - lower) + 1, level: (lower + upper + 1) / 2 };
}

export function sameRange(a: Range | null | undefined, b: Range): boolean {
  return a !== null && a !== undefined && Math.abs(a.lower - b.lower) < 1e-6 && Math.abs(a.upper - b.upper) < 1e-6;
}
