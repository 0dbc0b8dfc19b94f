// The page /sandbox in a real browser, against a real sandbox: each of its functions, on a desk and on a phone, dark and
// light, by keyboard alone, behind a prefix and in a space. Each test has a space of its own.
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { once } from "node:events";
import { Sandbox } from "./sandbox.js";
import { close, focused, launch, look, open, seen, soon, whole } from "./browser.js";

let sandbox, browser;
before(async () => { [sandbox, browser] = await Promise.all([Sandbox.start(), launch()]); });
after(async () => { await browser?.close(); await sandbox?.stop(); });

const sizes = [{ width: 1440, height: 900 }, { width: 1280, height: 800 }, { width: 390, height: 844 }];
const screens = sizes.flatMap((viewport) => ["light", "dark"].map((colorScheme) => ({ viewport, colorScheme })));
// The whole has each test on every screen, the short form on one, another for each test.
let tests = 0;
const everywhere = (name, body) => {
  const one = tests++ * 5 % screens.length;
  for (const screen of screens.filter((_, i) => whole || i === one)) test(`${name}, ${screen.viewport.width} ${screen.colorScheme}`, () => body(screen));
};

// What a call that was refused on purpose says on the console.
const refused = /Failed to load resource: the server responded with a status of 4/;

// Space is a space of the sandbox, and what a partner sends to it.
class Space extends Sandbox {
  static async make(body = {}) {
    const reply = await fetch(sandbox.url + "/sandbox/spaces", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    assert.equal(reply.status, 201);
    return Space.at((await reply.json()).id);
  }

  static async at(id) {
    const s = Object.assign(new Space(), { id, url: `${sandbox.url}/spaces/${id}` });
    s.fixtures = await s.asked("fixtures");
    return s;
  }

  get page() { return this.url + "/sandbox"; }

  async asked(path) { return (await fetch(`${this.page}/${path}`)).json(); }

  // Reads a card's PIN through Thredd's contract.
  async read(name) {
    const { client_id, client_secret } = this.fixtures.clients.thredd;
    this.token ??= (await (await fetch(this.url + "/connect/token", { method: "POST", body: new URLSearchParams({ grant_type: "client_credentials", client_id, client_secret }) })).json()).access_token;
    return fetch(`${this.url}/api/v1/cards/${this.fixtures.cards[name].publicToken}/pin`, { headers: { Authorization: "Bearer " + this.token } });
  }

  // Presents a PIN that is wrong, a try less.
  async mistake(name) { assert.equal((await this.verify(name, "0001")).result, "mismatch"); }
}

const visit = async (url, options) => {
  const page = await open(browser, { permissions: ["clipboard-read", "clipboard-write"], ...options });
  page.setDefaultTimeout(10_000);
  await page.addInitScript(() => { // tests beside each other have one clipboard
    const write = navigator.clipboard.writeText.bind(navigator.clipboard);
    navigator.clipboard.writeText = (text) => { globalThis.copied = text; return write(text); };
  });
  await page.goto(url);
  await page.getByRole("heading", { level: 1, name: "Sandbox" }).waitFor();
  await page.getByText("Live", { exact: true }).waitFor({ state: "attached" });
  return page;
};

// go goes to a view as whoever reads does; beside the others the journal is there already.
const go = async (page, view) => {
  const link = page.getByRole("navigation", { name: "Sandbox" }).getByRole("link", { name: view, exact: true });
  if (view !== "Journal" || await link.isVisible()) await link.click();
  await page.getByRole("heading", { level: 2, name: view, exact: true }).waitFor();
};
const said = (page, text) => page.locator(".said").getByText(text).first().waitFor();
const clipboard = (page) => page.evaluate(() => globalThis.copied);
const dialog = (page) => page.getByRole("dialog");
const line = (page, text) => page.locator(".aside .entries li", { hasText: text });
const row = (page, name) => page.getByRole("row", { name: new RegExp("^" + name) });
const pick = async (page, words, name) => {
  await page.locator(".picker").getByRole("combobox").fill(words);
  await page.getByRole("listbox", { name: "Rows" }).getByRole("option", { name }).first().click();
};

describe("console", { concurrency: 2 }, () => {
  const views = ["Cards", "Journal", "Rules", "Clock", "Spaces", "a card", "a call"];
  const some = [["Cards"], [], [], ["Rules", "a card"], ["Journal", "a call"], []]; // of the short form, by screen
  for (const [n, screen] of screens.entries()) {
    const shown = whole ? views : some[n];
    if (!shown.length) continue;
    const on = `${screen.viewport.width}-${screen.colorScheme}`;
    test(`${shown.join(", ")}: all has its place on the screen, ${on}`, async () => {
      const space = await Space.make();
      await space.mistake("normal");
      await space.read("normal");
      await fetch(space.page + "/rules", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ id: "a-rule-with-a-long-name-of-forty-letters", row: "getCardPin/card-unknown",
        client: "somebody", times: 3, probability: 0.1, delay: { distribution: "lognormal", minMs: 20, maxMs: 900 } }) });
      const page = await visit(space.page, screen);
      for (const view of shown) {
        if (view === "a card") {
          await go(page, "Cards");
          await page.getByRole("link", { name: "normal", exact: true }).click();
        } else if (view === "a call") {
          await go(page, "Journal");
          await page.getByRole("link", { name: /^\d+ .*verifyPin/ }).click();
        } else await go(page, view);
        if (view === "Rules") await row(page, "a-rule-with").waitFor();
        await page.waitForTimeout(50); // the browser moves what was gone to into view
        await look(page, page.mainFrame(), `console-${view}-${on}`);
        if (view.startsWith("a ")) await dialog(page).getByRole("button", { name: "Close" }).click();
      }
      await close(page);
    });
  }

  everywhere("a card is found by any reference, shows tries as they go, its history, and what to copy", async (screen) => {
    const space = await Space.make();
    const { normal } = space.fixtures.cards;
    const page = await visit(space.page, screen);
    await page.getByRole("searchbox", { name: "Find a card" }).fill(normal.pan);
    await row(page, "normal").getByText(normal.pin).waitFor();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    await page.getByRole("img", { name: "3 of 3 tries left" }).waitFor();
    await space.mistake("normal");
    await page.getByRole("img", { name: "2 of 3 tries left" }).waitFor(); // nobody asked for it
    await page.getByRole("link", { name: "normal", exact: true }).click();
    const card = dialog(page);
    const history = card.getByRole("listbox", { name: "Events, oldest first" });
    await history.waitFor();
    assert.match(await card.locator(".told").textContent(), /PIN wrong.*, 2 tries left, by issuer-sandbox, through issuer/);
    await history.focus();
    await page.keyboard.press("Home");
    assert.match(await card.locator(".told").textContent(), /Card made/);
    await history.getByRole("option").last().hover();
    assert.match(await card.locator(".told").textContent(), /PIN wrong/);
    await card.getByRole("button", { name: "Copy publicToken" }).click();
    assert.equal(await clipboard(page), normal.publicToken);
    await card.getByText("Copied publicToken.").waitFor();
    await space.mistake("normal");
    await card.getByRole("img", { name: "1 of 3 tries left" }).waitFor();
    assert.match(await card.locator(".entries li").first().textContent(), /verifyPin.*normal: tries 2 → 1/);
    await page.goBack();
    await card.waitFor({ state: "detached" });
    await page.getByRole("searchbox", { name: "Find a card" }).fill("nobody's");
    await page.getByText("No card fits.").waitFor();
    await close(page);
  });

  everywhere("a rule is set by a form, comes out, counts, and is removed", async (screen) => {
    const space = await Space.make();
    const page = await visit(space.page, { ...screen, expected: refused });
    await go(page, "Rules");
    await page.getByText("There is no rule").waitFor();
    const picker = page.locator(".picker").getByRole("combobox");
    await picker.fill("thredd unknown token");
    await page.getByRole("listbox", { name: "Rows" }).getByRole("option").first().waitFor();
    await page.keyboard.press("ArrowDown");
    await seen(page.getByRole("listbox", { name: "Rows" }).getByRole("option").first(), "the first row");
    await picker.fill("getcardpin/ nobody's");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    assert.equal(await picker.inputValue(), "getCardPin/card-unknown");
    await page.getByRole("button", { name: "Copy a call that has the row by header" }).click();
    assert.match(await clipboard(page), /^curl .*PinVault-Row: getCardPin\/card-unknown/);
    await page.getByLabel("Times").fill("2");
    await page.getByLabel("Id", { exact: true }).fill("unknown");
    await page.getByRole("button", { name: "Set the rule" }).click();
    await row(page, "unknown").getByText("2 times").waitFor();
    assert.deepEqual((await space.asked("rules")).rules, [{ id: "unknown", row: "getCardPin/card-unknown", operation: "getCardPin", times: 2, probability: 1, taken: 0 }]);
    assert.equal((await space.read("normal")).status, 404);
    assert.equal((await space.read("normal")).status, 404);
    assert.equal((await space.read("normal")).status, 200);
    await row(page, "unknown").getByText("spent").waitFor();

    // Errors are told where they happen.
    await pick(page, "getcardpin nobody's", /card-unknown/);
    await page.getByLabel("Id", { exact: true }).fill("unknown");
    await page.getByRole("button", { name: "Set the rule" }).click();
    await page.getByText("The id is taken.").waitFor();
    await focused(page.getByLabel("Id", { exact: true }), "the field that is wrong");
    assert.equal(await page.getByLabel("Id", { exact: true }).getAttribute("aria-invalid"), "true");
    await page.getByLabel("Id", { exact: true }).fill("");
    await picker.fill("getCardPin/nowhere");
    await page.getByText("No row has all these words.").waitFor();
    await page.getByRole("button", { name: "Set the rule" }).click();
    await page.getByText("No operation has such a row.").waitFor();
    await page.getByLabel("It only takes longer").check();
    await page.getByLabel("Delay").selectOption("uniform");
    await page.getByLabel("At least, ms").fill("20");
    await page.getByLabel("At most, ms").fill("10");
    await page.getByRole("button", { name: "Set the rule" }).click();
    await page.getByText("maxMs has an invalid value.").waitFor();
    await page.getByRole("button", { name: "Remove the rule unknown" }).click();
    await page.getByText("There is no rule:").waitFor();
    await close(page);
  });

  everywhere("faults, cuts and delays are set for a client, an operation, a card, in part of the calls", async (screen) => {
    const space = await Space.make();
    const { second } = space.fixtures.cards;
    const page = await visit(space.page + "#card/" + second.cardId, { ...screen, expected: refused });
    await dialog(page).getByRole("link", { name: "Set a rule for this card" }).click();
    assert.equal(await page.getByRole("group", { name: "To which calls" }).getByLabel("Card").inputValue(), second.cardId);
    await page.getByLabel("Something fails").check();
    await page.getByLabel("What fails").selectOption("database");
    await page.getByLabel("Id", { exact: true }).fill("gone");
    await page.getByRole("button", { name: "Set the rule" }).click();
    await row(page, "gone").getByText("card second").waitFor();
    assert.deepEqual([(await space.read("second")).status, (await space.read("normal")).status], [503, 200]);
    await page.getByLabel("The connection is cut").check();
    await page.getByLabel("When it is cut").selectOption("after");
    await page.getByRole("group", { name: "To which calls" }).getByLabel("Client").fill("thredd-sandbox");
    await page.getByRole("group", { name: "To which calls" }).getByLabel("Operation").fill("getCardPin");
    await page.getByLabel("Id", { exact: true }).fill("cut");
    await page.getByRole("button", { name: "Set the rule" }).click();
    await row(page, "cut").getByText("Cut after its effect, before the reply").waitFor();
    await assert.rejects(space.read("normal"));
    await page.getByRole("button", { name: "Remove the rule cut" }).click();
    await page.getByLabel("It only takes longer").check();
    await page.getByLabel("Milliseconds").fill("30");
    await page.getByLabel("In how many of 100 calls").fill("12.5");
    await page.getByRole("button", { name: "Set the rule" }).click();
    await page.getByText("30 ms later").waitFor();
    const { rules: [, slow] } = await space.asked("rules");
    assert.deepEqual({ ...slow, id: "" }, { id: "", probability: 0.125, delay: { distribution: "fixed", minMs: 30 }, taken: 0 });
    await go(page, "Journal");
    await line(page, "cut").first().waitFor();
    await go(page, "Rules");
    await page.getByRole("button", { name: "Remove all" }).click();
    await page.getByRole("button", { name: "No", exact: true }).click();
    await page.getByRole("button", { name: "Remove all" }).click();
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await page.getByText("There is no rule:").waitFor();
    assert.deepEqual((await space.asked("rules")).rules, []);
    await close(page);
  });

  everywhere("the clock is advanced, stopped, set, run and put right", async (screen) => {
    const space = await Space.make();
    const page = await visit(space.page, { ...screen, expected: refused });
    await go(page, "Clock");
    const time = async () => Date.parse(await page.locator(".time time").getAttribute("datetime"));
    const apart = async () => await time() - Date.now();
    assert.ok(Math.abs(await apart()) < 5000);
    await page.getByRole("button", { name: "+ 1 day" }).click();
    await said(page, "1 day later.");
    await page.getByRole("button", { name: "+ 1 hour" }).click();
    await page.locator(".time").getByText("1 day 1 hour ahead of this computer").waitFor();
    await page.getByRole("button", { name: "+ 5 minutes" }).click();
    await said(page, "5 minutes later.");
    await page.getByRole("button", { name: "+ 1 minute" }).click();
    await said(page, "1 minute later.");
    assert.ok(Math.abs(await apart() - 90360000) < 5000);
    await page.getByRole("button", { name: "Stop it" }).click();
    await page.locator(".time").getByText("stands still").waitFor();
    assert.equal((await space.asked("clock")).running, false);
    await page.getByLabel("Time, in UTC").fill("2027-01-01T09:00:07");
    await page.getByRole("button", { name: "Set the clock" }).click();
    await page.locator(".time").getByText("2027-01-01 09:00:07 UTC").waitFor();
    assert.equal((await space.asked("clock")).now, "2027-01-01T09:00:07Z");
    await page.getByRole("button", { name: "Let it run" }).click();
    await page.getByText("2027-01-01 09:00:08 UTC").first().waitFor();
    await page.getByRole("button", { name: "Put it right" }).click();
    await page.locator(".time").getByText("as on this computer").waitFor();
    assert.ok(Math.abs(Date.parse((await space.asked("clock")).now) - Date.now()) < 5000);
    await close(page);
  });

  everywhere("the journal is live, is filtered, and a call opens to both sides, curl, the documentation and replay", async (screen) => {
    const space = await Space.make();
    const page = await visit(space.page, { ...screen, expected: refused });
    await go(page, "Journal");
    await page.getByText("No call was sent yet.").waitFor();
    const { rows } = await space.asked("rows?contract=accosa");
    const { curl } = rows.find((r) => r.name === "by-customer");
    const headers = [...curl.matchAll(/-H '([^:]+): ([^']*)'/g)].map(([, name, value]) => [name, value]).filter(([name]) => name !== "PinVault-Row");
    const send = () => fetch(/'(http\S+)'$/.exec(curl)[1], { method: "POST", headers: Object.fromEntries(headers), body: /-d '([^']+)'/.exec(curl)[1] });
    assert.equal((await send()).status, 200);
    await line(page, "resetPin/by-customer").waitFor(); // nobody asked for it
    await space.mistake("normal");
    const wrong = line(page, "verifyPin");
    await wrong.getByText("normal: tries 3 → 2").waitFor();
    const number = await wrong.locator(".number").textContent();
    await wrong.getByRole("button", { name: `Copy call ${number} as curl` }).click();
    assert.match(await clipboard(page), /^curl .*\/pin\/verifications/);
    assert.match(await wrong.getByRole("link", { name: "Docs of verifyPin/mismatch" }).getAttribute("href"), new RegExp(`^${sandbox.url}/docs/issuer#verifyPin.mismatch$`));
    await wrong.getByRole("button", { name: `Replay call ${number}` }).click();
    await page.getByRole("heading", { name: `Call ${Number(number) + 1}` }).waitFor();
    await dialog(page).getByText("tries 2 → 1").waitFor();
    await page.keyboard.press("Escape");
    await line(page, "tries 2 → 1").waitFor();

    await line(page, "resetPin/by-customer").getByRole("link", { name: /resetPin/ }).first().click();
    const call = dialog(page);
    assert.match(await call.getByLabel("Request", { exact: true }).textContent(), /^POST \/mob1[\s\S]*"token"/);
    assert.match(await call.getByLabel("Request, opened").textContent(), /"newPIN": "\*+"/);
    assert.match(await call.getByLabel("Reply", { exact: true }).textContent(), /^200[\s\S]*"token"/);
    assert.match(await call.getByLabel("Reply, opened").textContent(), /"responseCode": "00"/);
    await call.getByRole("button", { name: "Copy as curl" }).click();
    assert.match(await clipboard(page), /^curl .*resetPin/);
    await call.getByRole("link", { name: "The row in the documentation" }).click();
    await page.waitForURL(sandbox.url + "/docs/accosa#resetPin.by-customer");
    await seen(page.locator("[id='resetPin.by-customer']"), "the row");
    await page.goBack();
    await call.getByRole("button", { name: "Close" }).click();

    await page.getByRole("search").getByLabel("Operation").fill("verifyPin");
    await page.keyboard.press("Tab");
    await line(page, "resetPin").waitFor({ state: "detached" });
    assert.equal(await line(page, "verifyPin").count(), 2);
    await send(); // does not fit, and does not show up
    await space.mistake("second");
    await line(page, "second: tries 3 → 2").waitFor();
    assert.equal(await page.locator(".aside .entries li").count(), 3);
    await page.getByRole("search").getByLabel("Card").selectOption({ label: "normal" });
    await line(page, "second").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Show all calls" }).click();
    await line(page, "resetPin").first().waitFor();
    await page.getByRole("search").getByLabel("Row").fill("mismatch");
    await page.getByRole("search").getByLabel("Client").fill("nobody");
    await page.keyboard.press("Enter");
    await page.getByText("No call fits.").waitFor();
    let listed; // a list that comes after the pause shows what was there before it
    const late = new Promise((resolve) => { listed = resolve; });
    await page.route(/journal\?/, async (route) => { await late; await route.continue(); });
    await page.getByRole("button", { name: "Show all calls" }).click();

    await page.getByRole("button", { name: "Pause" }).click();
    await space.mistake("third");
    await page.getByRole("button", { name: "Go on, 1 new" }).waitFor();
    listed();
    await line(page, "second: tries 3 → 2").waitFor();
    await page.unroute(/journal\?/);
    await page.getByRole("button", { name: "Go on, 1 new" }).waitFor();
    assert.equal(await line(page, "third: tries 3 → 2").count(), 0);
    await page.getByRole("button", { name: "Go on, 1 new" }).click();
    await line(page, "third: tries 3 → 2").waitFor();
    await page.getByRole("button", { name: "Empty" }).click();
    await page.getByText("No call was sent yet.").waitFor();
    assert.deepEqual((await space.asked("journal")).entries, []);
    await space.read("normal");
    await line(page, "getCardPin").waitFor();
    await close(page);
  });

  everywhere("spaces are made, gone to, kept, put back, reset and removed", async (screen) => {
    const home = await Space.make();
    const page = await visit(home.page, { ...screen, expected: refused });
    const id = "made-" + home.id.slice(0, 8), kept = "kept-" + home.id.slice(0, 8);
    await home.mistake("normal");
    await go(page, "Spaces");
    await page.getByLabel("Id of the snapshot").fill(kept);
    await page.getByRole("button", { name: "Keep a snapshot" }).click();
    await row(page, kept).getByText(home.id).waitFor();
    await page.getByLabel("Id of the space").fill("No such id");
    await page.getByRole("button", { name: "Make the space" }).click();
    await page.getByText("id does not match the required format.").waitFor();
    await page.getByLabel("Id of the space").fill(id);
    await page.getByLabel("It begins with").selectOption(kept);
    await page.getByRole("button", { name: "Make the space" }).click();
    await row(page, id).waitFor();
    await page.getByRole("button", { name: `Copy the URL of ${id}` }).click();
    assert.equal(await clipboard(page), `${sandbox.url}/spaces/${id}`);

    page.requests.length = 0;
    await page.getByRole("link", { name: `Go to ${id}` }).click();
    await page.waitForURL(`${sandbox.url}/spaces/${id}/sandbox`);
    await page.getByRole("img", { name: "2 of 3 tries left" }).waitFor(); // as in the snapshot
    for (const url of page.requests) assert.ok(url.startsWith(`${sandbox.url}/spaces/${id}/sandbox`), url);
    assert.equal(await page.title(), "Sandbox, " + id);
    const space = await Space.at(id);
    await space.mistake("normal");
    await page.getByRole("img", { name: "1 of 3 tries left" }).waitFor();
    await go(page, "Spaces");
    await page.getByRole("button", { name: `Restore here: ${kept}` }).click();
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    await said(page, "This space is as it was in " + kept);
    await go(page, "Cards");
    await page.getByRole("img", { name: "2 of 3 tries left" }).waitFor();
    await go(page, "Spaces");
    await page.getByRole("button", { name: "Reset this space" }).click();
    await page.keyboard.press("Escape"); // asked, and not meant
    await page.getByRole("button", { name: "Reset this space" }).click();
    await page.getByRole("button", { name: "Reset", exact: true }).click();
    await said(page, "as at first");
    await go(page, "Cards");
    await page.getByRole("img", { name: "2 of 3 tries left" }).waitFor({ state: "detached" });
    await go(page, "Spaces");
    await page.getByRole("button", { name: `Remove the snapshot ${kept}` }).click();
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await row(page, kept).waitFor({ state: "detached" });
    await page.getByRole("button", { name: `Remove the space ${id}` }).click();
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await page.waitForURL(sandbox.url + "/sandbox");
    assert.equal((await fetch(`${sandbox.url}/sandbox/spaces/${id}`)).status, 404);
    await close(page);
  });

  test("a page whose space is gone says so, and where to go", async () => {
    const space = await Space.make();
    const page = await visit(space.page, { viewport: sizes[1], expected: refused });
    assert.equal((await fetch(`${sandbox.url}/sandbox/spaces/${space.id}`, { method: "DELETE" })).status, 204);
    await page.getByText(`There is no space ${space.id} any more`).waitFor();
    await page.getByRole("link", { name: "Go to the first space" }).click();
    await page.getByRole("heading", { level: 2, name: "Spaces" }).waitFor();
    await close(page);
  });

  test("by keyboard alone: a card is opened, closed, and the focus is back; motion is reduced for whoever wants that", async () => {
    const space = await Space.make();
    const page = await visit(space.page, { viewport: sizes[1], reducedMotion: "reduce" });
    await row(page, "normal").waitFor();
    const focus = () => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.getAttribute("aria-label") || document.activeElement.tagName);
    const reach = async (name) => {
      for (let i = 0; i < 60 && await focus() !== name; i++) await page.keyboard.press("Tab");
      assert.equal(await focus(), name);
    };
    await reach("Clock");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 2, name: "Clock" }).waitFor();
    await soon(focus, "Clock", "the heading has the focus");
    await reach("+ 1 day");
    await page.keyboard.press("Space");
    await page.locator(".time").getByText("1 day ahead").waitFor();
    await page.goBack();
    await page.getByRole("heading", { level: 2, name: "Cards" }).waitFor();
    await reach("normal");
    await page.keyboard.press("Enter");
    await dialog(page).waitFor();
    await soon(focus, "Close");
    await page.keyboard.press("Escape");
    await dialog(page).waitFor({ state: "detached" });
    await soon(focus, "normal");
    await space.read("normal");
    await line(page, "getCardPin").waitFor();
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    await close(page);
  });

  test("it works behind a prefix, and asks nothing outside of it", async () => {
    const space = await Space.make();
    const target = new URL(sandbox.url);
    const proxy = createServer((asked, reply) => {
      assert.ok(asked.url.startsWith("/some/prefix/"), asked.url);
      asked.pipe(request({ host: target.hostname, port: target.port, method: asked.method, path: asked.url.slice("/some/prefix".length), headers: asked.headers }, (got) => {
        reply.writeHead(got.statusCode, got.headers);
        got.pipe(reply);
      }));
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const base = `http://127.0.0.1:${proxy.address().port}/some/prefix`;
    for (const [start, url] of [[base + "/sandbox/", base + "/sandbox"], [`${base}/spaces/${space.id}/sandbox/`, `${base}/spaces/${space.id}/sandbox`]]) {
      const page = await visit(start, { viewport: sizes[1] });
      assert.equal(page.url(), url);
      await row(page, "normal").waitFor();
      await go(page, "Spaces");
      assert.equal(await row(page, space.id).getByRole("link").evaluate((a) => a.href), `${base}/spaces/${space.id}/sandbox`);
      for (const asked of page.requests.filter((u) => !u.startsWith("data:"))) assert.ok(asked.startsWith(base), asked);
      await close(page);
    }
    proxy.closeAllConnections();
    proxy.close();
  });

  test("a server that is gone is told, and followed again when it is back", { skip: !whole }, async () => {
    const own = await Sandbox.start();
    const page = await visit(own.url + "/sandbox", { viewport: sizes[1], expected: /net::ERR_/ });
    await own.stop();
    await page.getByText("Not live").waitFor();
    await go(page, "Clock");
    await page.getByRole("button", { name: "+ 1 day" }).click();
    await page.getByRole("alert").getByText("The server does not answer.").first().waitFor();
    await own.serve();
    await page.getByText("Live", { exact: true }).waitFor();
    await fetch(own.url + "/livez");
    await line(page, "getLiveness").waitFor();
    await close(page);
    await own.stop();
  });
});
