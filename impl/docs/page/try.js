// Makes a documented row come out of the sandbox: its call, with what has to come before it, sent with the
// credentials of the fixtures, and its reply beside the documented one. Nothing but the server is asked.
"use strict";
{
  const base = new URL("../", document.baseURI).href.replace(/\/$/, "");
  const { rows: file, ciphers: library } = document.currentScript.dataset;
  const at = (id) => document.getElementById("try-" + id);
  const dialog = document.getElementById("try");
  const json = async (url, options) => {
    const reply = await fetch(url, options);
    if (!reply.ok) throw new Error(`${url}: ${reply.status}`);
    return reply.json();
  };
  let loading;
  const load = () => loading ??= json(file);

  const bytes = (text) => new TextEncoder().encode(text);
  const text = (octets) => new TextDecoder().decode(octets);
  const unhex = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  const unbase64 = (letters) => Uint8Array.from(atob(letters), (c) => c.charCodeAt(0));
  const base64 = (octets) => btoa(String.fromCharCode(...octets));
  const base64url = (octets) => base64(octets).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const joined = (...all) => Uint8Array.from(all.flatMap((part) => [...part]));
  const drawn = (length) => crypto.getRandomValues(new Uint8Array(length));
  const pretty = (body) => { try { return JSON.stringify(JSON.parse(body), null, 2); } catch { return body; } };

  // AES is a library's: WebCrypto has none with keys of 192 bits in Chromium, and none at all over plain http.
  let loaded;
  const ciphers = () => loaded ??= import("./" + library);

  // Accosa's token: base64 of the IV and the message in AES-CBC with PKCS#7 padding.
  const openToken = async (token, key) => {
    const octets = unbase64(token);
    return text((await ciphers()).cbc(key, octets.slice(0, 16)).decrypt(octets.slice(16)));
  };
  const sealToken = async (message, key) => {
    const iv = drawn(16);
    return base64(joined(iv, (await ciphers()).cbc(key, iv).encrypt(bytes(message))));
  };

  // A JWE (RFC 7516) in compact serialization, A256GCM under a key that both sides have.
  const compact = async (header, message, key) => {
    const protectedHeader = base64url(bytes(JSON.stringify(header))), iv = drawn(12);
    const sealed = (await ciphers()).gcm(key, iv, bytes(protectedHeader)).encrypt(bytes(message));
    return [protectedHeader, "", base64url(iv), base64url(sealed.slice(0, -16)), base64url(sealed.slice(-16))].join(".");
  };
  // Credit+'s: dir.
  const seal = async (row, message, client) => {
    if (row.type === "application/jose") return compact({ alg: "dir", enc: "A256GCM", kid: client.key_id }, message, unhex(client.key_hex));
    return JSON.stringify({ token: await sealToken(message, unhex(client.key_hex)) });
  };
  // The hosted page's: ECDH-ES to the session's key (RFC 7518, 4.6), blanks behind the message up to 64 bytes.
  const sealPIN = async (message, key) => {
    if (!crypto.subtle) throw new Error("browsers seal PINs on https and localhost only");
    const curve = { name: "ECDH", namedCurve: "P-256" };
    const own = await crypto.subtle.generateKey(curve, true, ["deriveBits"]);
    const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", own.publicKey);
    const theirs = await crypto.subtle.importKey("jwk", key, curve, false, []);
    const agreed = new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: theirs }, own.privateKey, 256));
    const counted = (n) => [0, 0, n >> 8, n & 255];
    const info = joined(counted(1), agreed, counted(7), bytes("A256GCM"), counted(0), counted(0), counted(256));
    const derived = new Uint8Array(await crypto.subtle.digest("SHA-256", info));
    return compact({ alg: "ECDH-ES", enc: "A256GCM", epk: { kty, crv, x, y } }, message.padEnd(64), derived);
  };

  // The client of the fixtures that a word stands for; those that are not listed have names and secrets like the others.
  const clientOf = ({ clients }, own, who = "") => {
    const name = { "": own, malformed: own, none: own, "other-program": own + "_other", "other-contract": "thredd" }[who] ?? who;
    const id = name + "-sandbox";
    return { client_id: id, client_secret: id + "-secret", "x-api-key": `${id}.${id}-secret`, ...clients[name] };
  };
  const authorize = async (all, row, fixtures) => {
    const client = clientOf(fixtures, all.client, row.who), headers = {};
    if (row.who === "none") return headers;
    if (row.key && row.bearer) headers[row.key] = clientOf(fixtures, all.client)[row.key]; // the word is about the token
    else if (row.key) headers[row.key] = row.who === "malformed" ? "not-a-key" : client[row.key];
    if (row.bearer) headers.Authorization = "Bearer " + (row.who === "malformed" ? "not-a-token" : await token(all, client));
    return headers;
  };
  const token = async (all, { client_id, client_secret }) => {
    const form = new URLSearchParams({ grant_type: "client_credentials", client_id, client_secret });
    return (await json(base + (all.tokens || "/oauth2/token"), { method: "POST", body: form })).access_token;
  };

  // begin makes the session that a row is about, by the issuing API's link, and what its request is with that.
  const begin = async (row, { clients: { hashdt }, cards }, message) => {
    const card = cards[row.session === "setpin" ? "unchosen" : "normal"];
    const { data: [{ set_pin_url: link }] } = await json(`${base}/issuing/api/v1/card/${row.session}`, { headers: {
      "x-api-key": hashdt["x-api-key"], "x-product-id": hashdt["x-product-id"], "x-cardholder-id": card.cardholderId,
      "x-wallet-id": card.walletId, "x-card-id": card.hashdtCardId, "x-request-id": `try-${Date.now()}` } });
    const { pathname, hash } = new URL(link), id = pathname.split("/").at(-1), secret = hash.slice(1);
    const path = row.path.replace(/[\da-f-]{36}/, id);
    if (row.body === undefined) return { path };
    if (!row.clear) return { path, body: message ?? JSON.stringify({ secret }) };
    const { token, key } = await json(`${base}/hosted/pin/${id}/exchange`, { method: "POST", credentials: "omit",
      headers: { "Content-Type": "application/json" }, body: JSON.stringify({ secret }) });
    return { path, body: JSON.stringify({ token, pin: await sealPIN(message ?? row.clear, key) }) };
  };

  // exchange sends a row's call, with another message where one is given.
  const exchange = async (all, row, fixtures, message) => {
    const client = clientOf(fixtures, all.client, row.who);
    let path = row.path, body = row.blank ? " ".repeat(row.blank) : row.body;
    if (row.session) ({ path, body } = await begin(row, fixtures, message));
    else if (message !== undefined) body = row.clear ? await seal(row, message, client) : message;
    const headers = new Headers();
    const set = (several) => {
      for (const [name, value] of Object.entries(several ?? {})) value === null ? headers.delete(name) : headers.set(name, [].concat(value)[0]);
    };
    set(row.headers);
    set(await authorize(all, row, fixtures));
    if (body !== undefined && row.type) headers.set("Content-Type", row.type);
    set(row.override);
    const reply = await fetch(base + path, { method: row.method, headers, body: body === undefined ? undefined : bytes(body), redirect: "manual", credentials: "omit", cache: "no-store" });
    const got = { status: reply.status, headers: reply.headers, body: await reply.text() };
    if (row.reply.sealed) {
      try { got.clear = await openToken(JSON.parse(got.body).token, unhex(client.key_hex)); } catch { got.clear = undefined; }
    }
    return { path, headers, body, got };
  };

  // Values that differ each time are compared by their type, times by that they are times.
  const time = (value) => typeof value === "string" && /^(\d{14}|\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?)$/.test(value);
  const same = (want, got, volatile, pointer = "") => {
    const kind = (v) => v === null ? "null" : Array.isArray(v) ? "array" : typeof v;
    if (kind(want) !== kind(got)) return false;
    if (volatile.includes(pointer) || time(want) && time(got)) return true;
    if (want === null || typeof want !== "object") return want === got;
    const names = Object.keys(want);
    return names.length === Object.keys(got).length && names.every((name) =>
      name in got && same(want[name], got[name], volatile, pointer + "/" + name.replaceAll("~", "~0").replaceAll("/", "~1")));
  };
  const differences = ({ reply: want }, got) => {
    if (got.status !== want.status) return [`status ${got.status} in place of ${want.status}`];
    const found = [];
    const media = (type) => (type ?? "").split(";")[0].trim();
    if (media(got.headers.get("Content-Type")) !== media(want.type)) found.push("another content type");
    for (const [name, values] of Object.entries(want.headers ?? {})) {
      if (got.headers.get(name) !== (values === null ? null : values.join(", "))) found.push("another header " + name);
    }
    const body = want.sealed ? got.clear : got.body;
    const volatile = want.volatile ?? [];
    if (want.body === undefined ? body !== "" : !/json/.test(want.type) ? !volatile.includes("") && body !== want.body : body === undefined || !same(JSON.parse(want.body), JSON.parse(body), volatile)) found.push("another body");
    return found;
  };

  let all, row;
  const verdict = (words, good) => {
    at("verdict").textContent = words;
    at("verdict").className = good === undefined ? "" : good ? "good" : "bad";
  };
  const show = (id, content) => {
    at(id + "-box").hidden = content === undefined;
    at(id).textContent = content ?? "";
  };
  const requestLines = (path, headers, body) => [`${row.method} ${path}`, ...[...headers].map(([name, value]) => `${name}: ${value}`), "",
    row.blank ? `${row.blank} blanks` : body ?? ""].join("\n").trimEnd();

  const fill = async (button) => {
    const cells = button.closest("tr");
    const cell = (label) => cells.querySelector(`[data-label="${label}"]`)?.textContent.trim() ?? "";
    all = await load();
    row = all.rows[button.dataset.try];
    at("title").textContent = cells.querySelector(".anchor").textContent;
    dialog.querySelector(".documented").textContent = ["Documented:", cell("Status"), cell("Code"), cell("Text")].filter(Boolean).join(" ");
    const before = [...row.session ? [`a link of ${row.session} of the issuing API`] : [], ...row.after ?? []];
    dialog.querySelector(".before").textContent = before.length ? "Sent before: " + before.join(", ") + "." : "";
    at("request").textContent = requestLines(row.path, Object.entries(row.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value[0]]), row.body);
    const message = row.clear ?? (row.blank ? undefined : row.body);
    at("message-box").hidden = message === undefined;
    at("message-label").textContent = row.clear ? "Message inside; what you change is sealed anew" : "Body";
    at("message").value = at("message").defaultValue = message === undefined ? "" : row.clear ? pretty(message) : message;
    show("reply"); show("reply-clear"); verdict("");
    dialog.showModal();
  };
  const send = async () => {
    verdict("…"); show("reply"); show("reply-clear");
    if (at("reset").checked) await fetch(base + "/sandbox/reset", { method: "POST" });
    const fixtures = await json(base + "/sandbox/fixtures");
    for (const name of row.after ?? []) {
      const before = all.rows[name];
      const { got } = await exchange(all, before, fixtures);
      if (got.status !== before.reply.status) return verdict(`${name}, which comes before, was answered with ${got.status}.`, false);
    }
    const changed = at("message").value !== at("message").defaultValue;
    const { path, headers, body, got } = await exchange(all, row, fixtures, changed ? at("message").value : undefined);
    at("request").textContent = requestLines(path, headers, body);
    show("reply", [`${got.status}`, ...[...got.headers].filter(([name]) => ["content-type", "allow", "www-authenticate", "retry-after"].includes(name)).map(([name, value]) => `${name}: ${value}`), "", pretty(got.body)].join("\n").trimEnd());
    show("reply-clear", got.clear && pretty(got.clear));
    dialog.scrollTo(0, 0); // where the reply is
    const found = differences(row, got);
    if (changed) verdict("The request is your own: no reply of it is documented.");
    else verdict(found.length ? "Not the documented reply: " + found.join(", ") + "." : "This is the documented reply.", !found.length);
  };
  const guarded = (work) => work.catch((e) => verdict("This could not be done: " + e.message, false));

  document.addEventListener("click", (e) => {
    const button = e.target.closest("[data-try]");
    if (button) guarded(fill(button));
  });
  at("send").addEventListener("click", () => guarded(send()));
}
