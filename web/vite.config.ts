import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // Relative addresses, so that the page also works below a path, as behind a notebook's proxy.
  base: "./",
  plugins: [svelte()],
  build: { outDir: "../src/segscope/server/static", emptyOutDir: true, assetsInlineLimit: 0 },
  server: { proxy: { "/api": "http://127.0.0.1:8642" } },
  // Component tests ask for jsdom in their first line: it takes seconds to start.
  test: { environment: "node", include: ["src/**/*.test.ts"] },
  // Vitest would otherwise take Svelte's server build, which can't mount.
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
});
