// The page of /docs in a real browser: it opens every contract that the server has, its calls run against the
// sandbox with the credentials that it brings along, and it asks nobody but its own server.
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Sandbox } from "./sandbox.js";
import { bundles } from "./bundles.js";
import { audit, close, launch, least, open, picture, seen, whole, worked, yardstick } from "./browser.js";

let sandbox, browser, contracts;
before(async () => {
  [sandbox, browser] = await Promise.all([Sandbox.start(), launch()]);
  const html = await (await fetch(sandbox.url + "/docs")).text();
  ({ contracts } = JSON.parse(html.match(/<script type="application\/json" id="page">(.*?)<\/script>/s)[1]));
});
after(async () => { await browser?.close(); await sandbox?.stop(); });

const desk = { viewport: { width: 1300, height: 900 } };

// leave closes the page; beyond what close asks of every page, this one has asked no server but the sandbox.
const leave = async (page) => {
  const asked = page.requests.filter((url) => !/^(data|blob):/.test(url));
  assert.ok(asked.length > 3, "the requests were heard");
  for (const url of asked) assert.equal(new URL(url).origin, sandbox.url, url);
  await close(page);
};

describe("docs", () => {
  test("every contract opens and shows its operations", async () => {
    const files = await Promise.all(contracts.map(({ name }) => fetch(`${sandbox.url}/openapi/${name}.json`).then((r) => r.json())));
    assert.ok(contracts.length > 1);
    const page = await open(browser, desk);
    await page.goto(sandbox.url + "/docs");
    let shown = contracts[0].title;
    for (const [i, { name, title }] of contracts.slice(0, whole ? contracts.length : 2).entries()) {
      if (i > 0) { // as a reader does: from the list of contracts
        await page.getByRole("button", { name: shown, exact: true }).first().click();
        await page.getByRole("option", { name: title, exact: true }).click();
        shown = title;
      }
      await page.getByRole("heading", { level: 1, name: files[i].info.title, exact: true }).waitFor();
      // Only the first group of operations is unfolded, and the page decides which that is.
      const summaries = Object.values(files[i].paths).flatMap((item) => Object.values(item)).map((o) => o.summary).filter(Boolean);
      await page.getByText(new RegExp(`^(${summaries.map((s) => s.replaceAll(/[^\w ]/g, "\\$&")).join("|")})( \\((from another document of the partner|not in the partner's public document)\\))?$`)).first().waitFor();
      if (JSON.stringify(files[i]).includes('"x-origin"')) await page.getByText("What bears no mark is in the partner's document").waitFor();
      assert.equal(await page.getByText("No authentication selected").count(), 0, `${name}: the credentials are filled in`);
      await picture(page, "docs-" + name);
    }
    await leave(page);
  });

  test("a call runs from the page, with the fixture client's token and the documented card", async () => {
    await sandbox.reset();
    const page = await open(browser, desk);
    await page.goto(sandbox.url + "/docs#thredd");
    await page.getByRole("heading", { level: 1, name: "Thredd Cards API, PIN management" }).waitFor();
    await page.getByText("Get the status of a card's PIN").first().click();
    await page.getByRole("button", { name: /Test Request\s*\(get \/api\/v1\/cards\/\{publicToken\}\/pin\/status\)/ }).click();
    const reply = page.waitForResponse(/\/pin\/status$/);
    await page.getByRole("dialog").getByRole("button", { name: /^Send get/ }).click();
    assert.equal((await reply).url(), `${sandbox.url}/api/v1/cards/103169946/pin/status`);
    assert.equal((await reply).status(), 200);
    assert.deepEqual(await (await reply).json(), { status: "Unblocked", remainingTries: "3" });
    await page.getByRole("dialog").getByText('"Unblocked"').waitFor();
    await picture(page, "docs-call");
    await leave(page);
  });

  test("an encrypted operation shows the fields of its message, and its call, with the fixture client's key, and the reply are on the screen", async () => {
    const operations = [["accosa", "pin/POST/mob1/api/onboarding/v1/resetPin", "newPIN"],
      ["creditplus", "helpdesk/POST/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter", "dataValidUntilTimestamp"]];
    for (const [i, viewport] of [{ width: 1440, height: 900 }, { width: 1280, height: 800 }, { width: 390, height: 844 }].entries()) {
      for (const [name, link, field] of operations.filter((_, n) => whole || n === 0 && i === 2)) {
        await sandbox.reset();
        const page = await open(browser, { viewport });
        await page.goto(`${sandbox.url}/docs#${name}/tag/${link}`); // a link to the operation
        await page.getByText("The message inside").first().waitFor();
        await page.getByText(field, { exact: true }).first().waitFor();
        if (name === "accosa") await page.getByText("$server/").first().waitFor(); // the document's sample, which seals, and not a made-up call
        const call = page.getByRole("button", { name: /Test Request\s*\(post / }).first();
        await call.scrollIntoViewIfNeeded();
        await seen(call, "Test Request");
        await call.click();
        const dialog = page.getByRole("dialog");
        const send = dialog.getByRole("button", { name: /^Send post/ });
        await send.waitFor();
        await seen(send, "Send");
        const reply = page.waitForResponse((r) => r.request().method() === "POST");
        await send.click();
        if (name === "accosa") assert.equal((await reply).request().headers()["x-api-key"], sandbox.fixtures.clients.accosa["x-api-key"]);
        assert.equal((await reply).status(), 200);
        const status = dialog.getByText(/^200 OK/);
        await status.waitFor();
        await seen(status, "the reply");
        await leave(page);
      }
    }
  });

  test("a search finds what the introductions say", { skip: !whole }, async () => {
    const page = await open(browser, desk);
    await page.goto(sandbox.url + "/docs#accosa");
    await page.getByRole("heading", { level: 1, name: "Accosa prepaid, Reset PIN" }).waitFor();
    for (const about of ["Idempotency", "Sandbox"]) {
      await page.getByRole("button", { name: "Search" }).first().click();
      await page.getByRole("dialog").getByRole("combobox").or(page.getByRole("dialog").getByRole("textbox")).fill(about.toLowerCase());
      await page.getByRole("option", { name: new RegExp(about) }).first().click();
      await page.waitForURL((url) => decodeURIComponent(url.hash).toLowerCase().includes(about.toLowerCase()));
    }
    await leave(page);
  });

  // Scalar's own, which nothing here can mend: its fields without a name, and a list that scrolls.
  const scalars = (rule, target) => ["aria-input-field-name", "aria-required-attr"].includes(rule) && target.includes(".code-input-lite__editor")
    || rule === "scrollable-region-focusable" && target.includes("60vh");
  for (const [viewport, colorScheme] of [[desk.viewport, "light"], ...whole ? [[{ width: 390, height: 844 }, "dark"], [desk.viewport, "dark"], [{ width: 390, height: 844 }, "light"]] : []]) {
    test(`nothing for axe-core that is ours, ${viewport.width} ${colorScheme}`, async () => {
      for (const { name, title } of contracts.slice(0, whole ? contracts.length : 1)) {
        const page = await open(browser, { viewport, colorScheme });
        await page.goto(sandbox.url + "/docs#" + name);
        await page.getByRole("heading", { level: 1, name: title, exact: true }).waitFor();
        await page.waitForLoadState("networkidle");
        await picture(page, `docs-${name}-${viewport.width}-${colorScheme}`);
        await audit(page, page.mainFrame(), name, scalars);
        await leave(page);
      }
    });
  }

  test("the page may not reach another host, and says so", async () => {
    const page = await open(browser, { ...desk, expected: /Content Security Policy/ });
    await page.goto(sandbox.url + "/docs");
    await page.getByRole("heading", { level: 1 }).first().waitFor();
    const refused = await page.evaluate(() => new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", (e) => resolve(e.effectiveDirective), { once: true });
      fetch("http://insecure.example/").catch(() => {});
    }));
    assert.equal(refused, "connect-src");
    await page.context().close();
  });
});

// The work until there is text to read is counted in a known page's, and what is loaded in bytes: neither depends on what else the
// machine does. By the clock it is 9 Mbit/s and 40 ms there and back.
describe("weight", () => {
  const limits = { yards: 2, bytes: 1.5e6 };
  const visited = async (path, settled) => {
    const page = await open(browser, desk);
    await page.addInitScript(() => { // when there is a frame with text to read: a heading, and a paragraph of a sentence or more
      const look = () => {
        const long = [...document.querySelectorAll("p")].some((p) => p.innerText.length > 80 && p.getBoundingClientRect().height);
        if (long && document.querySelector("h1")?.innerText) performance.mark("readable");
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Network.enable");
    await devtools.send("Network.emulateNetworkConditions", { offline: false, latency: 40, downloadThroughput: 9e6 / 8, uploadThroughput: 9e6 / 8 });
    let bytes = 0;
    devtools.on("Network.loadingFinished", ({ encodedDataLength }) => { bytes += encodedDataLength; });
    const run = await worked(browser, page, sandbox.url + path, "readable");
    await settled(page);
    await page.waitForLoadState("networkidle");
    await close(page);
    return { ...run, bytes };
  };
  const measured = async (t, path, settled = () => {}) => {
    await fetch(sandbox.url + path); // made at the first request
    const known = await sandbox.parent(yardstick), runs = [], yards = [];
    const quick = () => least(runs, "work") < limits.yards * least(yards, "work");
    while (!runs.length || runs.length < 5 && !quick()) {
      const yard = await open(browser);
      yards.push(await worked(browser, yard, known, "measured"));
      await close(yard);
      runs.push(await visited(path, settled));
    }
    const bytes = Math.max(...runs.map((r) => r.bytes));
    const work = `${path}: ${least(runs, "work").toFixed(0)} ms of work until there is text, the known page ${least(yards, "work").toFixed(0)} ms`;
    t.diagnostic(`${work}; ${least(runs, "clock").toFixed(0)} ms by the clock (${runs.length} runs), ${(bytes / 1024).toFixed(0)} KiB`);
    assert.ok(quick(), work);
    assert.ok(bytes <= limits.bytes, `${path}: ${bytes} bytes`);
  };

  test("the reference has text soon, and its first contract fits in 1.5 MB", (t) =>
    measured(t, "/docs", (page) => page.getByRole("heading", { level: 1, name: contracts[0].title, exact: true }).waitFor()));
  test("the landing page and the contracts' pages have text soon", async (t) => {
    for (const path of ["/", ...contracts.slice(0, whole ? contracts.length : 1).map(({ name }) => "/docs/" + name)]) await measured(t, path);
  });
});

describe("ciphers", () => {
  const hex = (text) => new Uint8Array(Buffer.from(text, "hex"));
  const page = new URL("../../impl/docs/page/ciphers.js", import.meta.url);

  test("what the pages load is what the lock file names", async () => {
    for (const [path, bundle] of Object.entries(bundles)) assert.equal(await readFile(new URL("../../" + path, import.meta.url), "utf8"), bundle(), `${path}: scripts/docs/vendor writes it anew`);
  });

  test("it is AES: CBC with 192 bits (NIST SP 800-38A, F.2.3), GCM with 256 (test case 14 of its proposal)", async () => {
    const { cbc, gcm } = await import("data:text/javascript," + encodeURIComponent(await readFile(page, "utf8")));
    const plain = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    const sealed = hex("4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd");
    const aes192 = () => cbc(hex("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"), hex("000102030405060708090a0b0c0d0e0f"), { disablePadding: true });
    assert.deepEqual(aes192().encrypt(plain), sealed);
    assert.deepEqual(aes192().decrypt(sealed), plain);
    assert.deepEqual(gcm(new Uint8Array(32), new Uint8Array(12)).encrypt(new Uint8Array(16)), hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"));
  });
});
