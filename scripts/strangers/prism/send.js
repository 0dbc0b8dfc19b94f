// Sends the documented examples of a document through Prism, and says "ok", or how replies broke the document.
//
// The calls are those that the pages of the documentation make their "try it" of: /docs/NAME.rows.json. What Prism answers by
// itself, or nobody can send without the server's keys, is left out.
"use strict";
const { spawn } = require("node:child_process");
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
  const reset = () => send(server, { method: "POST", path: "/sandbox/reset", headers: {} });
  const { clients } = JSON.parse((await send(server, { method: "GET", path: "/sandbox/fixtures", headers: {} })).body);
  const all = JSON.parse((await send(server, { method: "GET", path: `/docs/${name}.rows.json`, headers: {} })).body);
  const unknown = ["expired", "no-scope"]; // tokens that only the server's keys could make
  const found = [];
  let sent = 0;
  const exchange = async (proxy, row, of) => {
    if (unknown.includes(of.who) || ["TRACE", "CONNECT"].includes(of.method)) return;
    const call = await callOf(all, of, clients);
    if (!passes(call)) return;
    await reset();
    for (const before of of.after ?? []) await send(server, await callOf(all, all.rows[before], clients));
    const reply = await send(proxy, call);
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
