import { configure } from '@testing-library/react';
import { vi } from 'vitest';

// A busy machine is no failure.
configure({ asyncUtilTimeout: 15_000 });

/** What Mantine and the thumbnails ask of a browser and happy-dom does not have. */
window.matchMedia ??= vi.fn().mockImplementation((query: string) => ({
  matches: false,
  media: query,
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
}));

window.ResizeObserver ??= class {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
};
