// Builds the React page of the example (`npm run build-example`), or serves it while it is written.

import { fileURLToPath } from 'node:url'

import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const app = process.env.APP ?? 'http://127.0.0.1:8000'

export default defineConfig({
  root: here('../examples/web/react'),
  base: './',
  plugins: [react()],
  resolve: {
    alias: {
      'instructor-stream': here('src'),
      'react-dom': here('node_modules/react-dom'),
      react: here('node_modules/react'),
    },
  },
  build: { outDir: here('../examples/web/react/dist'), emptyOutDir: true },
  server: { proxy: { '/plan': app, '/runs': app, '/ideas': app } },
})
