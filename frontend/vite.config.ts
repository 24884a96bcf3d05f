import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

/** `MAYPACS_NODE=http://127.0.0.1:8080 npm run dev` serves the sources with a node behind them. */
const node = process.env.MAYPACS_NODE ?? 'http://127.0.0.1:8080';

const codecs = [
  'codec-charls/decodewasmjs',
  'codec-openjpeg/decodewasmjs',
  'codec-libjpeg-turbo-8bit/decodewasmjs',
  'codec-openjph/wasmjs',
  'codec-libjxl/decodewasmjs',
];

export default defineConfig({
  plugins: [react()],
  resolve: {
    // vtk.js pulls in an XML writer for mesh files, which wants node's `events`; we read no mesh files.
    alias: { xmlbuilder2: fileURLToPath(new URL('./src/viewer/xmlbuilder2-stub.ts', import.meta.url)) },
  },
  worker: { format: 'es' },
  // The decoder worker is lost when the loader is pre-bundled: in `vite dev` nothing renders and no error is logged.
  optimizeDeps: {
    exclude: ['@cornerstonejs/dicom-image-loader'],
    include: ['dicom-parser', ...codecs.map((codec) => `@cornerstonejs/${codec}`)],
  },
  build: { target: 'es2022', chunkSizeWarningLimit: 4000 },
  server: {
    host: '127.0.0.1',
    proxy: Object.fromEntries(['/api', '/dicomweb', '/blobs', '/uploads'].map((path) => [path, node])),
  },
  test: {
    environment: 'happy-dom',
    testTimeout: 40_000,
    setupFiles: ['./src/test/setup.ts'],
    include: ['src/**/*.test.{ts,tsx}'],
  },
});
