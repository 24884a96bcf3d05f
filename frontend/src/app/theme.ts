import { createTheme, type MantineColorsTuple } from '@mantine/core';

const lagoon: MantineColorsTuple = [
  '#eef7fb',
  '#d9ecf4',
  '#b1d9e9',
  '#85c4dd',
  '#5fb2d2',
  '#45a6cb',
  '#2f97bf',
  '#1d81a6',
  '#0b6388',
  '#0a4a68',
];

/** Shade 8 carries white text at 6.6:1; Mantine's own default does not reach WCAG AA. */
export const theme = createTheme({
  primaryColor: 'lagoon',
  primaryShade: { light: 8, dark: 8 },
  colors: { lagoon },
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif",
  headings: { fontWeight: '600' },
  defaultRadius: 'sm',
  cursorType: 'pointer',
});
