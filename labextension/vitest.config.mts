import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    environment: 'jsdom',
    include: ['test/**/*.spec.ts'],
    setupFiles: ['test/setup.ts'],
    server: {
      deps: {
        // these packages are ES modules without saying so, which Node.js alone refuses to load
        inline: [/@jupyterlab\//, /@jupyter\//, /@lumino\//]
      }
    }
  }
});
