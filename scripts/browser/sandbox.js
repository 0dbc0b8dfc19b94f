// A sandbox server of the tests' own, and what a partner and an authorization host ask of it.
import { spawn } from "node:child_process";
import { createCipheriv, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { once } from "node:events";
import { join } from "node:path";
import assert from "node:assert/strict";

const freePort = async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
};

// A partner's web page: it embeds the URL in its query and keeps the events that it hears.
const parentPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Partner</title>
<style>:root { color-scheme: light dark } body { margin: 0 } iframe { width: 100%; height: 40rem; border: 0 }</style>
<main><h1 style="font-size:1rem">Partner</h1><iframe id="pin" title="Your PIN"></iframe></main>
<script>
  window.events = [];
  addEventListener("message", (e) => events.push({ origin: e.origin, data: e.data }));
  document.getElementById("pin").src = decodeURIComponent(location.hash.slice(1));
</script></html>`;

export class Sandbox {
  static async start(...flags) {
    const s = Object.assign(new Sandbox(), { port: await freePort(), flags });
    s.url = `http://127.0.0.1:${s.port}`;
    await s.serve();
    return s;
  }

  // Runs the server, which may have been stopped before.
  async serve() {
    this.process = spawn(process.env.PINVAULT_BINARY, ["serve", "--sandbox", "--listen", `127.0.0.1:${this.port}`,
      "--database-url", "sqlite://" + join(process.env.PINVAULT_SCRATCH, `${this.port}.db`), ...this.flags], { stdio: ["ignore", "ignore", "pipe"] });
    this.log = "";
    this.process.stderr.on("data", (text) => { this.log += text; });
    const ended = once(this.process, "exit");
    ended.catch(() => {});
    await Promise.race([this.#ready(), ended.then(() => { throw new Error("the server did not start: " + this.log); })]);
  }

  async #ready() {
    while (!this.log.includes('"msg":"serving"')) await once(this.process.stderr, "data");
    assert.equal((await fetch(this.url + "/healthz")).status < 500, true);
  }

  async stop() {
    for (const parent of this.parents ?? []) { parent.closeAllConnections(); parent.close(); }
    this.process.kill("SIGTERM");
    if (this.process.exitCode === null) await once(this.process, "exit");
  }

  // Puts everything back, with the settings given for the program.
  async reset(settings = {}) {
    assert.equal((await fetch(this.url + "/sandbox/reset", { method: "POST" })).status, 204);
    this.fixtures = await (await fetch(this.url + "/sandbox/fixtures")).json();
    const program = this.fixtures.clients.hashdt["x-product-id"];
    if (Object.keys(settings).length) await this.issuer("PATCH", `/issuer/v1/programs/${program}`, settings);
  }

  async issuer(method, path, body) {
    const reply = await fetch(this.url + path, { method, headers: {
      Authorization: "Bearer " + this.fixtures.clients.issuer.token, "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const text = await reply.text();
    assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`);
    return text ? JSON.parse(text) : {};
  }

  // The link that the issuing API hands out for a card.
  async link(operation, name, query = {}) {
    const { clients: { hashdt }, cards } = this.fixtures;
    const card = cards[name];
    const requestId = randomUUID();
    const reply = await fetch(`${this.url}/issuing/api/v1/card/${operation}`, { headers: {
      "x-api-key": hashdt["x-api-key"], "x-product-id": hashdt["x-product-id"], "x-cardholder-id": card.cardholderId,
      "x-wallet-id": card.walletId, "x-card-id": card.hashdtCardId, "x-request-id": requestId } });
    const body = await reply.json();
    assert.equal(reply.status, 200, JSON.stringify(body));
    const url = new URL(body.data[0].set_pin_url);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    return { url: url.href, requestId };
  }

  // What an authorization host learns of a PIN, in an ISO 9564-1 format 0 block under the sandbox's key.
  async verify(name, pin) {
    const card = this.fixtures.cards[name];
    const { zpk_id: keyId, zpk_hex: key } = this.fixtures.clients.issuer;
    const field = Buffer.from(("0" + pin.length.toString(16) + pin).padEnd(16, "f"), "hex");
    const pan = Buffer.from("0000" + card.pan.slice(-13, -1), "hex");
    const block = Buffer.from(field.map((byte, i) => byte ^ pan[i]));
    const cipher = createCipheriv("des-ede3", Buffer.from(key + key.slice(0, 16), "hex"), null).setAutoPadding(false);
    const pinBlock = Buffer.concat([cipher.update(block), cipher.final()]).toString("hex").toUpperCase();
    return this.issuer("POST", `/issuer/v1/cards/${card.cardId}/pin/verifications`, { pinBlock, format: "ISO-0", keyId });
  }

  // A partner's origin, where every path has this page.
  async parent(page = parentPage) {
    const server = createServer((_, reply) => { reply.setHeader("Content-Type", "text/html; charset=utf-8").end(page); });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    (this.parents ??= []).push(server);
    return `http://127.0.0.1:${server.address().port}`;
  }
}
