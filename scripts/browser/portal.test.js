// The landing page and the contracts' pages in a real browser: nothing lies off the screen on a desk or a phone, every
// operation can be sent, and the documented rows come out of the sandbox by their buttons.
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { Sandbox } from "./sandbox.js";
import { close, launch, look, open, seen, whole } from "./browser.js";

let sandbox, browser, names;
before(async () => {
  [sandbox, browser] = await Promise.all([Sandbox.start(), launch()]);
  const front = await (await fetch(sandbox.url + "/")).text();
  names = [...front.matchAll(/<li class="card" id="(\w+)">/g)].map(([, name]) => name);
});
after(async () => { await browser?.close(); await sandbox?.stop(); });

const sizes = [{ width: 1440, height: 900 }, { width: 1280, height: 800 }, { width: 390, height: 844 }];
const themes = ["light", "dark"];
// In the short form each width has one theme and one contract: a sealed one, one with tokens, the hosted page's.
const screens = sizes.flatMap((viewport, i) => themes.filter((_, n) => whole || n === i % 2).map((colorScheme) => ({ viewport, colorScheme })));
const kinds = ["accosa", "thredd", "hosted"];
// What a page of errors says on the console of a browser, whose call was meant to fail.
const expected = /Failed to load resource: the server responded with a status of [45]/;

const visit = async (name, options) => {
  const page = await open(browser, { viewport: sizes[0], expected, ...options });
  await page.goto(`${sandbox.url}/docs/${name}`);
  return page;
};

// tried presses a row's button and sends its call, and looks where things are: whoever pressed it sees what to press
// next, and then the reply.
const tried = async (page, id) => {
  const button = page.locator(`[data-try="${id}"]`);
  await button.scrollIntoViewIfNeeded();
  await seen(button, `${id}: the button`);
  await button.click();
  const send = page.locator("#try-send");
  await page.locator("#try-title:not(:empty)").waitFor();
  await seen(send, `${id}: Send`);
  await send.click();
  const verdict = page.locator("#try-verdict.good, #try-verdict.bad");
  await verdict.waitFor();
  const reply = page.locator("#try-reply");
  assert.equal(await verdict.textContent(), "This is the documented reply.", `${id}: ${await reply.textContent()}`);
  await seen(verdict, `${id}: what became of it`);
  await seen(page.locator(".replies pre:visible").first(), `${id}: the reply`);
};
const shut = (page) => page.getByRole("button", { name: "Close", exact: true }).click();

// unsendable is what needs more than its document's calls: an entry of the journal is a call of another.
const unsendable = ["replayEntry"];

// rowsOf are a page's rows by operation: a success to send, one whose message is sealed where there is one, and errors.
const rowsOf = async (page, name) => {
  const { rows } = await (await fetch(`${sandbox.url}/docs/${name}.rows.json`)).json();
  const found = await page.locator("section.operation").evaluateAll((all) => all.map((section) => {
    const under = (title) => [...section.querySelectorAll("h4")].find((h) => h.textContent === title)?.nextElementSibling;
    const ids = (title) => [...under(title)?.querySelectorAll("[data-try]") ?? []].map((b) => b.dataset.try);
    return { operation: section.querySelector("h3").id, successes: ids("Successes"), errors: ids("Errors") };
  }));
  for (const { operation, successes } of found) assert.ok(successes.length || unsendable.includes(operation), `${name}: ${operation} cannot be sent`);
  const sealed = (id) => rows[id].clear !== undefined;
  return { sealed, errors: found.flatMap((o) => o.errors), successes: found.flatMap((o) => o.successes.find(sealed) ?? o.successes[0] ?? []) };
};

describe("portal", () => {
  for (const { viewport, colorScheme } of screens) {
    const on = `${viewport.width}-${colorScheme}`;
    test(`the landing page leads to each contract, ${on}`, async () => {
      assert.ok(names.length > 5);
      const page = await open(browser, { viewport, colorScheme });
      await page.goto(sandbox.url + "/");
      await look(page, page.mainFrame(), "portal-landing-" + on);
      const start = page.getByRole("link", { name: "Quick start, Accosa" });
      await start.scrollIntoViewIfNeeded();
      await seen(start, "Quick start");
      await start.click();
      await page.getByRole("heading", { name: "Quick start", exact: true }).waitFor();
      assert.equal(page.url(), sandbox.url + "/docs/accosa#quick-start");
      await close(page);
    });
    test(`every contract's page has its place on the screen, ${on}`, async () => {
      for (const name of names.filter((n) => whole || n === kinds[sizes.indexOf(viewport)])) {
        const page = await visit(name, { viewport, colorScheme });
        await look(page, page.mainFrame(), `portal-${name}-${on}`);
        await close(page);
      }
    });
    test(`a workflow, what changed, and the page for one that there is not, have their place on the screen, ${on}`, async () => {
      for (const path of whole ? ["workflows/card", "issuer/changes", "accosa/changes", "changelog", "nothing"] : [["workflows/card"], ["issuer/changes"], ["workflows/card", "accosa/changes", "changelog", "nothing"]][sizes.indexOf(viewport)]) {
        const page = await open(browser, { viewport, colorScheme, expected: path === "nothing" ? /status of 404/ : undefined });
        await page.goto(`${sandbox.url}/docs/${path}`);
        await look(page, page.mainFrame(), `portal-${path.replace("/", "-")}-${on}`);
        await close(page);
      }
    });
  }

  // The whole: every operation, and three errors of each contract, at each width. The short form: each contract at one
  // width, its first operation, those that seal, and one error.
  for (const [i, viewport] of sizes.entries()) {
    test(`every operation of every contract is sent and answered as documented, and errors are, ${viewport.width}`, async () => {
      for (const [n, name] of names.entries()) {
        if (!whole && n % sizes.length !== i) continue;
        const page = await visit(name, { viewport });
        const { successes, errors, sealed } = await rowsOf(page, name);
        const three = [errors[0], errors[Math.floor(errors.length / 2)], errors.at(-1)];
        assert.equal(new Set(three).size, 3, `${name}: ${errors}`);
        for (const id of whole ? [...successes, ...three] : [...successes.filter((s, k) => k === 0 || sealed(s)), three[1]]) {
          await tried(page, id);
          await shut(page);
        }
        await close(page);
      }
    });
  }

  test("every row that has a button comes out by it", { skip: !whole }, async () => {
    const wrong = [];
    for (const name of names) {
      const page = await visit(name);
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
    await page.goto(sandbox.url + "/docs/hosted");
    await tried(page, "checkCurrentPin.pin-right");
    await changed('{"for":"current","pin":"918273"}', /"mismatch"/);
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

  test("an encrypted operation shows the fields of its message, and what is not the partner's is said in words", async () => {
    const page = await visit("accosa");
    const operation = page.locator("section.operation", { has: page.locator("#resetPin") });
    for (const field of ["newPIN", "last4Digits", "responseCode"]) assert.ok(await operation.locator("dt code", { hasText: new RegExp(`^${field}$`) }).first().isVisible(), field);
    assert.ok(await page.getByText("Not in the partner's public document").first().isVisible());
    await close(page);
  });

  test("a link leads to each operation and to each row, and the contents to what readers look for", async () => {
    for (const name of names.filter((n) => whole || kinds.includes(n))) {
      const page = await visit(name, { viewport: sizes[2] });
      const lost = await page.evaluate(async (every) => {
        const found = [];
        for (const { id } of [...document.querySelectorAll(".operation h3, .operation tr[id]")].filter((_, i) => i % every === 0)) {
          location.hash = "#" + id;
          await new Promise(requestAnimationFrame);
          const { top } = document.getElementById(id).getBoundingClientRect();
          if (top < 0 || top >= innerHeight) found.push(id);
        }
        return found;
      }, whole ? 1 : 10);
      assert.deepEqual(lost, [], name);
      await page.locator(".contents summary").click();
      for (const about of ["Idempotency", "Sandbox", "Errors"]) {
        await page.locator(".contents").getByRole("link", { name: about, exact: true }).click();
        await seen(page.getByRole("heading", { level: 2, name: about, exact: true }), `${name}: ${about}`);
      }
      await close(page);
    }
    const page = await open(browser, { viewport: sizes[2] });
    await page.goto(sandbox.url + "/docs/thredd#getCardPin");
    await seen(page.locator("#getCardPin"), "the operation of the link");
    for (const path of ["/docs/", "/openapi", "/openapi/"]) {
      await page.goto(sandbox.url + path);
      await page.getByRole("heading", { level: 1, name: "One PIN for each card" }).waitFor();
    }
    await close(page);
  });
});
