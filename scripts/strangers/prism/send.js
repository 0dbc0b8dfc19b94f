// Sends the documented examples of a document through Prism, and says "ok", or how replies broke the document.
//
// The calls are those that the pages of the documentation make their "try it" of: /docs/NAME.rows.json. What Prism answers by
// itself, or nobody can send without the server's keys, is left out.
"use strict";
const { spawn } = require("node:child_process");
const { createCipheriv, createHash, createPublicKey, diffieHellman, generateKeyPairSync, randomBytes } = require("node:crypto");
const { createWriteStream, readFileSync } = require("node:fs");
const http = require("node:http");
const { createServer } = require("node:net");

const [name, documentFile] = process.argv.slice(2);
const server = process.env.PINVAULT_URL;

function send(base, { method, path, headers, body }) {
  return new Promise((resolve, reject) => {
    const request = http.request(base + path, { method, headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts).toString() }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

const tokens = {};
async function token(url, { client_id, client_secret }) {
  const form = new URLSearchParams({ grant_type: "client_credentials", client_id, client_secret });
  return (tokens[client_id] ??= JSON.parse((await send(server, {
    method: "POST", path: url, headers: { "content-type": "application/x-www-form-urlencoded" }, body: form.toString(),
  })).body).access_token);
}

// clientOf is a sandbox client by its name. Ids, secrets and keys that the fixtures do not list are made like the others.
const clientOf = (clients, who) => {
  const client_id = `${who}-sandbox`, client_secret = `${client_id}-secret`;
  return { client_id, client_secret, "x-api-key": `${client_id}.${client_secret}`, ...clients[who] };
};

// callOf is a row's call with its credentials: who calls is a word of x-request.authorization.
async function callOf(all, row, clients) {
  const own = all.client || name;
  const who = { "": own, malformed: own, none: own, "other-program": own + "_other", "other-contract": own === "thredd" ? "issuer" : "thredd" }[row.who ?? ""] ?? row.who;
  const headers = {};
  const set = (several) => {
    for (const [header, values] of Object.entries(several ?? {})) {
      const key = header.toLowerCase();
      if (values === null) delete headers[key];
      else headers[key] = values.length === 1 ? values[0] : values;
    }
  };
  set(row.headers);
  if (row.who !== "none") {
    const client = clientOf(clients, who === "creditplus_other" ? "creditplus_no_alias" : who);
    if (row.key && row.bearer) headers[row.key] = clientOf(clients, own)[row.key]; // the word is about the token
    else if (row.key) headers[row.key] = row.who === "malformed" ? "not-a-key" : client[row.key];
    if (row.bearer) headers.authorization = "Bearer " + (row.who === "malformed" ? "not-a-token" : await token(all.tokens || "/oauth2/token", client));
  }
  const body = row.blank ? " ".repeat(row.blank) : row.body;
  if (body !== undefined) {
    if (row.type) headers["content-type"] = row.type;
    headers["content-length"] = Buffer.byteLength(body);
  }
  set(row.override);
  return { method: row.method, path: row.path, headers, body };
}

// sessionCall is the call of a row about a session: of a link that the issuing API hands out for it, from which come the
// path, the secret and, where a message is sealed to the session's key (ECDH-ES, RFC 7518, 4.6), the body.
async function sessionCall(row, call, { clients: { hashdt }, cards }) {
  const post = (path, body) => send(server, { method: "POST", path, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const card = cards[row.session === "setpin" ? "unchosen" : "normal"];
  const handedOut = await send(server, { method: "GET", path: `/issuing/api/v1/card/${row.session}`, headers: {
    "x-api-key": hashdt["x-api-key"], "x-product-id": hashdt["x-product-id"], "x-cardholder-id": card.cardholderId,
    "x-wallet-id": card.walletId, "x-card-id": card.hashdtCardId, "x-request-id": "through-prism" } });
  const link = new URL(JSON.parse(handedOut.body).data[0].set_pin_url);
  const page = link.pathname, secret = link.hash.slice(1);
  const made = { ...call, path: call.path.replace(/[\da-f-]{36}/, page.split("/").at(-1)) };
  if (row.body === undefined) return made;
  let body = { secret };
  if (row.clear) {
    const { token, key } = JSON.parse((await post(`${page}/exchange`, body)).body);
    body = { token, pin: sealed(row.clear.padEnd(64), key) };
  }
  made.body = JSON.stringify(body);
  made.headers = { ...call.headers, "content-length": Buffer.byteLength(made.body) };
  return made;
}

// sealed is a message as a JWE for a public key.
function sealed(message, key) {
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { kty, crv, x, y } = own.publicKey.export({ format: "jwk" });
  const agreed = diffieHellman({ privateKey: own.privateKey, publicKey: createPublicKey({ key, format: "jwk" }) });
  const counted = (n) => Buffer.from([0, 0, n >> 8, n & 255]);
  const info = Buffer.concat([counted(1), agreed, counted(7), Buffer.from("A256GCM"), counted(0), counted(0), counted(256)]);
  const header = Buffer.from(JSON.stringify({ alg: "ECDH-ES", enc: "A256GCM", epk: { kty, crv, x, y } })).toString("base64url");
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", createHash("sha256").update(info).digest(), iv).setAAD(Buffer.from(header));
  const text = Buffer.concat([cipher.update(message), cipher.final()]);
  return [header, "", ...[iv, text, cipher.getAuthTag()].map((part) => part.toString("base64url"))].join(".");
}

// passes tells whether Prism hands the call on: it answers JSON that is none itself, and GET with a body.
function passes({ method, headers, body }) {
  if (body === undefined) return true;
  if (["GET", "HEAD"].includes(method)) return false;
  if (!/^application\/(.*\+)?json/.test(headers["content-type"] ?? "")) return true;
  try {
    JSON.parse(body);
    return true;
  } catch {
    return false;
  }
}

async function freePort() {
  const taken = createServer();
  await new Promise((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address();
  await new Promise((resolve) => taken.close(resolve));
  return port;
}

// proxied does work with the URL of a Prism that has these options.
async function proxied(options, work) {
  const port = await freePort();
  const prism = spawn(process.env.PRISM, ["proxy", documentFile, server, "--host", "127.0.0.1", "--port", String(port), ...options]);
  const log = createWriteStream(process.env.LOG);
  prism.stderr.pipe(log, { end: false });
  try {
    await new Promise((resolve, reject) => {
      prism.stdout.on("data", (said) => {
        log.write(said);
        if (String(said).includes("Prism is listening")) resolve();
      });
      prism.on("exit", () => reject(new Error("Prism did not start")));
    });
    return await work(`http://127.0.0.1:${port}`);
  } finally {
    prism.kill();
  }
}

async function main() {
  const reset = async () => { // of spaces and snapshots, too, which a reset leaves alone
    await send(server, { method: "POST", path: "/sandbox/reset", headers: {} });
    for (const kind of ["spaces", "snapshots"]) {
      const listed = JSON.parse((await send(server, { method: "GET", path: `/sandbox/${kind}`, headers: {} })).body)[kind];
      for (const { id } of listed) await send(server, { method: "DELETE", path: `/sandbox/${kind}/${id}`, headers: {} });
    }
  };
  const fixtures = JSON.parse((await send(server, { method: "GET", path: "/sandbox/fixtures", headers: {} })).body);
  const all = JSON.parse((await send(server, { method: "GET", path: `/docs/${name}.rows.json`, headers: {} })).body);
  const unknown = ["expired", "no-scope"]; // tokens that only the server's keys could make
  const found = [];
  let sent = 0;
  const exchange = async (proxy, row, of) => {
    if (unknown.includes(of.who) || ["TRACE", "CONNECT"].includes(of.method)) return;
    const call = await callOf(all, of, fixtures.clients);
    if (!passes(call)) return;
    await reset();
    for (const before of of.after ?? []) await send(server, await callOf(all, all.rows[before], fixtures.clients));
    const reply = await send(proxy, of.session ? await sessionCall(of, call, fixtures) : call);
    sent++;
    const violations = reply.headers["sl-violations"] ?? "";
    if (reply.status !== of.reply.status) found.push(`${row}: ${reply.status} in place of ${of.reply.status}: ${reply.body}`);
    else if (violations.includes('"location":["response"')) found.push(`${row}: ${violations}`);
  };
  // A request that breaks the document is handed on, so that the refusal is looked at too.
  await proxied([], async (proxy) => {
    for (const [row, of] of Object.entries(all.rows)) await exchange(proxy, row, of);
  });
  // With --errors it is not: each example of a success has to get through.
  await proxied(["--errors"], async (proxy) => {
    for (const [row, of] of Object.entries(all.rows)) if (of.reply.status < 400) await exchange(proxy, row, of);
  });
  await reset();
  console.error(`${sent} calls, of ${Object.keys(all.rows).length} examples of ${name}`);
  if (sent === 0 && Object.keys(all.rows).length > 0) found.push("nothing was sent");
  found.forEach((what) => console.error(what));
  console.log((found.length ? `${found.length} of ${sent} replies, first ${found[0]}` : "ok").replace(/\s+/g, " ").slice(0, 500));
}

main().catch((failure) => {
  console.log(String(failure));
  process.exitCode = 1;
});
