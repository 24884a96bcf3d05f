// Builds the page beside it with the dashboard's own Vite and Cornerstone3D: node build.mjs OUTPUT_FOLDER
import { fileURLToPath } from 'node:url';

const frontend = new URL('../../../../frontend/', import.meta.url);
const at = (path) => fileURLToPath(new URL(path, frontend));
const { build } = await import(new URL('node_modules/vite/dist/node/index.js', frontend));

await build({
  configFile: false,
  root: fileURLToPath(new URL('.', import.meta.url)),
  logLevel: 'error',
  resolve: {
    alias: {
      '@cornerstonejs/core': at('node_modules/@cornerstonejs/core'),
      '@cornerstonejs/dicom-image-loader': at('node_modules/@cornerstonejs/dicom-image-loader'),
      xmlbuilder2: at('src/viewer/xmlbuilder2-stub.ts'),
    },
  },
  worker: { format: 'es' },
  build: { outDir: process.argv[2], emptyOutDir: true, target: 'es2022', minify: false, chunkSizeWarningLimit: 9000 },
});
