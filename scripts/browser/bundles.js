// What pages load of libraries, each bundled into one file as package-lock.json has it: scripts/docs/vendor writes them
// and a test compares.
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const bundled = (contents) => () => buildSync({ bundle: true, minify: true, write: false, format: "esm", target: "es2022", legalComments: "inline",
  stdin: { resolveDir: import.meta.dirname, contents } }).outputFiles[0].text;

export const bundles = {
  "impl/docs/page/ciphers.js": bundled('export { cbc, gcm } from "@noble/ciphers/aes.js";'),
  "impl/sandboxapi/page/preact.js": bundled(`import { h } from "preact"; import htm from "htm"; export const html = htm.bind(h);
    export { render } from "preact"; export { useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";`),
};

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(bundles[process.argv[2]]());
