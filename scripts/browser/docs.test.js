// The page of /docs in a real browser: it opens every contract that the server has, its calls run against the
// sandbox with the credentials that it brings along, and it asks nobody but its own server.
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { Sandbox } from "./sandbox.js";
import { close, launch, open } from "./browser.js";

let sandbox, browser, contracts;
before(async () => {
  [sandbox, browser] = await Promise.all([Sandbox.start(), launch()]);
  const html = await (await fetch(sandbox.url + "/docs")).text();
  ({ contracts } = JSON.parse(html.match(/<script type="application\/json" id="page">(.*?)<\/script>/s)[1]));
});
after(async () => { await browser?.close(); await sandbox?.stop(); });

const desk = { viewport: { width: 1300, height: 900 } };
const shot = (page, name) => page.screenshot({ path: join(process.env.PINVAULT_SCREENSHOTS, `docs-${name}.png`) });

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
    for (const [i, { name, title }] of contracts.entries()) {
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
      await shot(page, name);
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
    await shot(page, "call");
    await leave(page);
  });

  test("a call runs with the fixture client's API key", async () => {
    await sandbox.reset();
    const page = await open(browser, desk);
    await page.goto(sandbox.url + "/docs#accosa");
    await page.getByRole("heading", { level: 1, name: "Accosa prepaid, Reset PIN" }).waitFor();
    await page.getByText("Reset a card's forgotten PIN", { exact: true }).first().click();
    await page.getByText("$server/").first().waitFor(); // the document's sample, which seals, and not a made-up call
    await page.getByRole("button", { name: /Test Request\s*\(post / }).first().click();
    const reply = page.waitForResponse((r) => r.request().method() === "POST");
    await page.getByRole("dialog").getByRole("button", { name: /^Send post/ }).click();
    assert.equal((await reply).request().headers()["x-api-key"], sandbox.fixtures.clients.accosa["x-api-key"]);
    assert.equal((await reply).status(), 200);
    await leave(page);
  });

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
