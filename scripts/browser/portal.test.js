// The landing page and the contracts' pages in a real browser: nothing lies off the screen on a desk or a phone, and
// the documented rows come out of the sandbox by their buttons.
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { Sandbox } from "./sandbox.js";
import { close, launch, look, open } from "./browser.js";

let sandbox, browser, names;
before(async () => {
  [sandbox, browser] = await Promise.all([Sandbox.start(), launch()]);
  const front = await (await fetch(sandbox.url + "/")).text();
  names = [...front.matchAll(/<li class="card" id="(\w+)">/g)].map(([, name]) => name);
});
after(async () => { await browser?.close(); await sandbox?.stop(); });

const sizes = [{ width: 1440, height: 900 }, { width: 1280, height: 800 }, { width: 390, height: 844 }];
// What a page of errors says on the console of a browser, whose call was meant to fail.
const expected = /Failed to load resource: the server responded with a status of [45]/;

// There: the whole of it is on the screen, and nothing lies over its middle.
const there = async (page, locator) => {
  await locator.scrollIntoViewIfNeeded();
  const box = await locator.boundingBox();
  const { width, height } = page.viewportSize();
  assert.ok(box && box.x >= 0 && box.y >= 0 && box.x + box.width <= width + 0.5 && box.y + box.height <= height + 0.5,
    `${JSON.stringify(box)} in ${width} × ${height}`);
  assert.ok(await locator.evaluate((e) => {
    const { x, y, width, height } = e.getBoundingClientRect();
    return e.contains(document.elementFromPoint(x + width / 2, y + height / 2));
  }), "something lies over it");
};

// tried presses a row's button and sends its call.
const tried = async (page, id) => {
  const button = page.locator(`[data-try="${id}"]`);
  await there(page, button);
  await button.click();
  const send = page.locator("#try-send");
  await there(page, send);
  await send.click();
  const verdict = page.locator("#try-verdict.good, #try-verdict.bad");
  await verdict.waitFor();
  assert.equal(await verdict.textContent(), "This is the documented reply.", `${id}: ${await page.locator("#try-reply").textContent()}`);
  await there(page, verdict);
};
const shut = (page) => page.getByRole("button", { name: "Close", exact: true }).click();

describe("portal", () => {
  for (const [i, viewport] of sizes.entries()) {
    const colorScheme = ["light", "dark", "light"][i];
    const on = `${viewport.width}-${colorScheme}`;
    test(`the landing page leads to each contract, ${on}`, async () => {
      assert.ok(names.length > 5);
      const page = await open(browser, { viewport, colorScheme });
      await page.goto(sandbox.url + "/");
      await look(page, page.mainFrame(), "portal-landing-" + on);
      await there(page, page.getByRole("link", { name: "Quick start, Accosa" }));
      await page.getByRole("link", { name: "Quick start, Accosa" }).click();
      await page.getByRole("heading", { name: "Quick start", exact: true }).waitFor();
      assert.equal(page.url(), sandbox.url + "/docs/accosa#quick-start");
      await close(page);
    });
    test(`every contract's page has its place on the screen, ${on}`, async () => {
      // Each at one of the widths; with EVERY_ROW all at all of them, which takes minutes.
      for (const name of names.filter((_, n) => process.env.EVERY_ROW || n % sizes.length === i)) {
        const page = await open(browser, { viewport, colorScheme });
        await page.goto(`${sandbox.url}/docs/${name}`);
        await look(page, page.mainFrame(), `portal-${name}-${on}`);
        await close(page);
      }
    });
    test(`a workflow, and what changed in a contract, have their place on the screen, ${on}`, async () => {
      for (const path of [["workflows/card"], ["issuer/changes"], ["workflows/card", "accosa/changes"]][i]) {
        const page = await open(browser, { viewport, colorScheme });
        await page.goto(`${sandbox.url}/docs/${path}`);
        await look(page, page.mainFrame(), `portal-${path.replace("/", "-")}-${on}`);
        await close(page);
      }
    });
  }

  test("three errors of every contract come out by their buttons, at each width", async () => {
    for (const [i, name] of names.entries()) {
      const page = await open(browser, { viewport: sizes[i % sizes.length], expected });
      await page.goto(`${sandbox.url}/docs/${name}`);
      const ids = await page.locator("h4:text-is('Errors') + .table [data-try]").evaluateAll((all) => all.map((b) => b.dataset.try));
      assert.ok(ids.length >= 3, `${name}: ${ids}`);
      for (const id of [ids[0], ids[Math.floor(ids.length / 2)], ids.at(-1)]) {
        await tried(page, id);
        await shut(page);
      }
      await close(page);
    }
  });

  // Some minutes, for whoever changes what a page can send: EVERY_ROW=1.
  test("every row that has a button comes out by it", { skip: !process.env.EVERY_ROW }, async () => {
    const wrong = [];
    for (const name of names) {
      const page = await open(browser, { viewport: sizes[0], expected });
      await page.goto(`${sandbox.url}/docs/${name}`);
      const ids = await page.locator("[data-try]").evaluateAll((all) => all.map((b) => b.dataset.try));
      for (const id of ids) {
        await page.locator(`[data-try="${id}"]`).evaluate((b) => b.click());
        await page.locator("#try-send").click();
        const verdict = page.locator("#try-verdict.good, #try-verdict.bad");
        await verdict.waitFor();
        if (!await page.locator("#try-verdict.good").count()) wrong.push(`${name} ${id}: ${await verdict.textContent()} ${await page.locator("#try-reply").textContent()}`);
        await shut(page);
      }
      await close(page);
    }
    assert.deepEqual(wrong, []);
  });

  test("a sealed call shows both sides, and what is changed is sealed anew", async () => {
    const page = await open(browser, { viewport: sizes[1], expected });
    await page.goto(sandbox.url + "/docs/accosa");
    await tried(page, "resetPin.pin-reset");
    assert.equal(JSON.parse(await page.locator("#try-reply-clear").textContent()).responseCode, "00");
    assert.match(await page.locator("#try-reply").textContent(), /"token"/);
    assert.match(await page.locator("#try-request").textContent(), /"token"/);
    await look(page, page.mainFrame(), "portal-try-accosa");
    const changed = async (message, says) => {
      await page.locator("#try-message").fill(message);
      await page.locator("#try-send").click();
      await page.getByText("no reply of it is documented").waitFor();
      assert.match((await page.locator("#try-reply-clear").textContent()) + await page.locator("#try-reply").textContent(), says);
    };
    await changed('{"messageCode":"1120","requestDateTime":"20160715025837","clientTxnId":"MY-OWN","newPIN":"1212","urn":70000000001,"last4Digits":"0014"}', /"MY-OWN"/);
    await page.goto(sandbox.url + "/docs/creditplus");
    await tried(page, "resetPinRetryCounterV2.sealed");
    await changed('{"timestamp":"2099-12-31T12:00:00Z","dataValidUntilTimestamp":"2099-12-31T23:59:59Z","identifier":"DEVICE0000009999"}', /RECORD_NOT_FOUND/);
    await close(page);
  });

  test("a step leads to its operation, and a change to the operation that changed", async () => {
    const page = await open(browser, { viewport: sizes[1] });
    await page.goto(sandbox.url + "/");
    await page.getByRole("link", { name: "The life of a card", exact: true }).click();
    await page.locator("section", { has: page.getByRole("heading", { name: "11. Set a card's PIN" }) }).getByRole("link", { name: /^Thredd/ }).click();
    assert.equal(page.url(), sandbox.url + "/docs/thredd#setCardPin");
    await page.getByRole("link", { name: "What changed" }).click();
    await page.getByRole("link", { name: "Get a bearer token" }).first().click();
    assert.equal(page.url(), sandbox.url + "/docs/thredd#issueToken");
    await close(page);
  });

  test("a link leads to a row", async () => {
    const page = await open(browser, { viewport: sizes[2] });
    await page.goto(sandbox.url + "/docs/thredd#getCardPin");
    assert.ok(await page.locator("#getCardPin").evaluate((e) => e.getBoundingClientRect().top < innerHeight));
    for (const path of ["/docs/", "/openapi", "/openapi/"]) {
      await page.goto(sandbox.url + path);
      await page.getByRole("heading", { level: 1, name: "One PIN for each card" }).waitFor();
    }
    await close(page);
  });
});
