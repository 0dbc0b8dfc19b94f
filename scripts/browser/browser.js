// Chromium and what the tests look for on a page.
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

// The whole of every test, which takes minutes: each page at each width in each language, and pictures of them.
export const whole = Boolean(process.env.WHOLE);

const { source: axe } = createRequire(import.meta.url)("axe-core");

// Started so that it asks nobody but the servers of the test: every other name is unknown to it.
export const launch = (...flags) => chromium.launch({
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP insecure.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", ...flags],
});

// How long a page is waited for, in ms: as long as a busy machine may take.
const patience = 120_000;

// A page that fails its test when it asks another host, or says an error on its console.
export const open = async (browser, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 420, height: 760 }, colorScheme: "light", locale: "en", ...options });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  page.requests = [];
  page.errors = [];
  page.expected = options.expected ?? /$^/;
  page.on("request", (r) => page.requests.push(r.url()));
  page.on("pageerror", (e) => page.errors.push(String(e)));
  page.on("console", (m) => {
    if (["error", "warning"].includes(m.type()) && !page.expected.test(m.text())) page.errors.push(m.text());
  });
  return page;
};

export const close = async (page) => {
  const hosts = new Set(page.requests.filter((url) => /^(https?|wss?):/.test(url)).map((url) => new URL(url).hostname));
  await page.context().close();
  assert.deepEqual(page.errors, [], "the console shows no error");
  for (const host of hosts) assert.ok(["127.0.0.1", "localhost", "insecure.example"].includes(host), "a request went to " + host);
};

// What axe-core finds, except for what theirs says of a place and a rule. It works around Trusted Types aloud, which is not
// the page's error.
export const audit = async (page, frame, name, theirs = () => false) => {
  const errors = page.errors.length;
  if (!await frame.evaluate(() => Boolean(globalThis.axe))) await frame.evaluate(axe);
  const { violations } = await frame.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  page.errors.length = errors;
  const found = violations
    .map((v) => ({ ...v, nodes: v.nodes.filter((n) => !theirs(v.id, String(n.target))) }))
    .filter((v) => v.nodes.length)
    .map((v) => `${name}: ${v.id}: ${v.nodes.map((n) => n.target + " " + n.failureSummary).join("; ")}`);
  assert.deepEqual(found, []);
};

// Nothing on the page is wider than the page, or hidden by a box that is too small for it.
const fits = async (frame, name) => {
  const cut = await frame.evaluate(() => {
    const found = [];
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > width) found.push("the page scrolls sideways");
    for (const e of document.querySelectorAll("main *:not(.heard):not(noscript), dialog[open] *")) {
      const box = e.getBoundingClientRect();
      if (!box.width || !e.checkVisibility()) continue;
      if (box.left < -0.5 || box.right > width + 0.5) found.push(`${e.tagName}#${e.id} leaves the page`);
      if (!(e instanceof SVGElement) && e.tagName !== "INPUT" && e.scrollWidth > Math.ceil(box.width) + 1) found.push(`${e.tagName}#${e.id} is cut off`);
    }
    return found;
  });
  assert.deepEqual(cut, [], name);
};

// picture takes one, for a person to look at.
export const picture = async (page, name) => {
  if (whole) await page.screenshot({ fullPage: true, path: join(process.env.PINVAULT_SCREENSHOTS, name.replaceAll(/[^\w]+/g, "-") + ".png") });
};

// look holds a state to what every state must be, and takes a picture of it.
export const look = async (page, frame, name) => {
  await picture(page, name);
  await fits(frame, name);
  await audit(page, frame, name);
};

// A page of known work, by which other pages' work is counted: about 100 ms of a processor of 2025.
export const yardstick = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Yardstick</title><script>
  (() => {
    let x = 1;
    for (let i = 0; i < 8e7; i++) x = Math.imul(x, 1664525) + 1013904223 | 0;
    performance.mark("measured", { detail: x });
  })();
</script></html>`;

// worked opens a URL and measures the way to a mark that the page makes: by the processor's time that its main thread has used,
// in ms, which other processes have no part in, and by the clock's, which they do.
export const worked = async (browser, page, url, mark) => {
  await browser.startTracing(page, { categories: ["blink.user_timing", "devtools.timeline", "loading"] });
  await page.goto(url, { waitUntil: "commit" });
  await page.waitForFunction((name) => performance.getEntriesByName(name).length, mark);
  const { traceEvents } = JSON.parse(String(await browser.stopTracing()));
  const end = traceEvents.find((e) => e.name === mark && e.cat === "blink.user_timing");
  const begin = traceEvents.filter((e) => e.name === "CommitLoad" && e.pid === end.pid && e.tid === end.tid && e.ts < end.ts && e.args.data.isOutermostMainFrame).at(-1);
  const clock = await page.evaluate((name) => performance.getEntriesByName(name)[0].startTime - performance.getEntriesByType("navigation")[0].responseStart, mark);
  return { work: (end.tts - begin.tts) / 1000, clock };
};

// least: of many measures it is the smallest that tells most of the page.
export const least = (runs, what) => Math.min(...runs.map((r) => r[what]));

// until asks again until the answer suits, as a page that is about to change needs a moment.
const until = async (ask, suits) => {
  const end = Date.now() + patience;
  let found = await ask();
  while (!suits(found) && Date.now() < end) {
    await setTimeout(20);
    found = await ask();
  }
  return found;
};

// soon: the answer is, or is about to become, what is wanted.
export const soon = async (ask, wanted, what) => assert.deepEqual(await until(ask, (found) => isDeepStrictEqual(found, wanted)), wanted, what);

// seen: as the page lies the middle of it is on the screen, or of something high its first lines, and nothing lies over
// it.
export const seen = async (locator, what) => {
  const found = await until(() => locator.evaluate((e) => {
    const { x, y, width, height } = e.getBoundingClientRect();
    const lines = Math.min(height, 60), at = [x + width / 2, y + lines / 2];
    const top = document.elementFromPoint(...at);
    return { there: width > 0 && x >= 0 && x + width <= innerWidth + 0.5 && y >= 0 && y + lines <= innerHeight + 0.5 && e.contains(top),
      box: `${[x, y, width, height].map(Math.round)} of ${innerWidth} × ${innerHeight}, over it ${top?.tagName}#${top?.id}` };
  }), ({ there }) => there);
  assert.ok(found.there, `${what} is not on the screen: ${found.box}`);
};

// focused: what is typed goes there.
export const focused = (locator, what) => soon(() => locator.evaluate((e) => e === document.activeElement), true, `the focus is on ${what}`);
