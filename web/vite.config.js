// Builds the page into the package, under names that do not change, and notes of which sources.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The digest of everything that the built files are made of, in the order of the paths. */
function digest() {
  const found = [here("index.html"), here("../clients/js/dist/index.js")];
  for (const folder of ["src", "public"]) {
    const entries = readdirSync(here(folder), { recursive: true, withFileTypes: true });
    found.push(
      ...entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name)),
    );
  }
  const hash = createHash("sha256");
  for (const path of found.sort()) hash.update(readFileSync(path));
  return hash.digest("hex");
}

/** The licences of everything that is built in. */
function licenses() {
  const names = ["preact", "@preact/signals", "@preact/signals-core", "htm"];
  const text = (name) => readFileSync(here(`node_modules/${name}/LICENSE`), "utf8").trim();
  return names.map((name) => `${name}\n\n${text(name)}\n`).join("\n\n");
}

/** Writes the digest into the first line, after everything that takes comments out. */
const signed = {
  name: "signed",
  generateBundle(_, bundle) {
    const built = bundle["app.js"];
    built.code =
      `// fastchat demo page, MIT; sources ${digest()}; ` +
      `contains software under the licences in licenses.txt\n${built.code}`;
    this.emitFile({ type: "asset", fileName: "licenses.txt", source: licenses() });
  },
};

export default defineConfig({
  plugins: [signed],
  base: "/demo/",
  publicDir: "public",
  resolve: { alias: { "fastchat-client": here("../clients/js/dist/index.js") } },
  build: {
    outDir: here("../fastchat/page"),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        entryFileNames: "app.js",
        assetFileNames: "app[extname]",
      },
    },
  },
});
