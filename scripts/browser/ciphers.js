// The ciphers that the pages of /docs load, bundled from noble's: what scripts/docs/vendor writes and a test compares.
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

export const bundle = () => buildSync({ bundle: true, minify: true, write: false, format: "esm", target: "es2022", legalComments: "inline",
  stdin: { resolveDir: import.meta.dirname, contents: 'export { cbc, gcm } from "@noble/ciphers/aes.js";' } }).outputFiles[0].text;

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(bundle());
