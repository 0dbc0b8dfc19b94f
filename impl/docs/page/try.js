// Makes a documented row come out of the sandbox: its call, with what has to come before it, sent with the
// credentials of the fixtures, and its reply beside the documented one. Nothing but the server is asked.
"use strict";
{
  const base = new URL("../", document.baseURI).href.replace(/\/$/, "");
  const file = document.currentScript.dataset.rows;
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
  const pretty = (body) => { try { return JSON.stringify(JSON.parse(body), null, 2); } catch { return body; } };

  // AES (FIPS 197), here because WebCrypto has none with 192 bits in Chromium. It opens and seals messages between a
  // sandbox and this page, whose keys are public: nothing depends on how long it takes.
  const double = (b) => (b << 1 ^ (b >> 7) * 0x11b) & 0xff;
  const sbox = new Uint8Array(256), inverse = new Uint8Array(256);
  for (let p = 1, q = 1, first = true; first || p !== 1; first = false) { // p runs through all but 0, q is 1/p
    p ^= double(p);
    q ^= q << 1; q ^= q << 2; q ^= q << 4; q &= 0xff;
    if (q & 0x80) q ^= 0x09;
    const turn = (n) => q << n | q >> 8 - n;
    sbox[p] = (q ^ turn(1) ^ turn(2) ^ turn(3) ^ turn(4) ^ 0x63) & 0xff;
  }
  sbox[0] = 0x63;
  sbox.forEach((value, i) => { inverse[value] = i; });
  const times = (a, b) => { // in GF(2^8)
    let product = 0;
    for (; b; b >>= 1, a = double(a)) if (b & 1) product ^= a;
    return product;
  };
  const aes = (key) => {
    const words = key.length / 4, rounds = words + 6, schedule = [...key];
    for (let i = words, rcon = 1; i < 4 * (rounds + 1); i++) {
      let word = schedule.slice(4 * i - 4);
      if (i % words === 0) { word = [...word.slice(1), word[0]].map((b) => sbox[b]); word[0] ^= rcon; rcon = double(rcon); } else if (words > 6 && i % words === 4) word = word.map((b) => sbox[b]);
      for (let j = 0; j < 4; j++) schedule.push(schedule[4 * (i - words) + j] ^ word[j]);
    }
    const add = (state, round) => state.map((b, i) => b ^ schedule[16 * round + i]);
    const mix = (state, [a, b, c, d]) => state.map((_, i) => {
      const column = i & ~3, row = i & 3, on = (n) => state[column + (row + n) % 4];
      return times(on(0), a) ^ times(on(1), b) ^ times(on(2), c) ^ times(on(3), d);
    });
    return {
      encrypt(block) {
        let state = add(block, 0);
        for (let round = 1; round <= rounds; round++) {
          state = state.map((_, i) => sbox[state[(i + 4 * (i & 3)) % 16]]);
          if (round < rounds) state = mix(state, [2, 3, 1, 1]);
          state = add(state, round);
        }
        return state;
      },
      decrypt(block) {
        let state = add(block, rounds);
        for (let round = rounds - 1; round >= 0; round--) {
          state = state.map((_, i) => inverse[state[(i + 12 * (i & 3)) % 16]]);
          state = add(state, round);
          if (round > 0) state = mix(state, [14, 11, 13, 9]);
        }
        return state;
      },
    };
  };

  // Accosa's token: base64 of the IV and the message in AES-CBC with PKCS#7 padding.
  const openToken = (token, key) => {
    const octets = unbase64(token), out = [];
    for (let i = 16; i < octets.length; i += 16) {
      aes(key).decrypt(octets.slice(i, i + 16)).forEach((b, j) => out.push(b ^ octets[i - 16 + j]));
    }
    return text(Uint8Array.from(out.slice(0, out.length - out.at(-1))));
  };
  const sealToken = (message, key) => {
    const plain = bytes(message), padding = 16 - plain.length % 16;
    const padded = [...plain, ...Array(padding).fill(padding)];
    let last = crypto.getRandomValues(new Uint8Array(16));
    const out = [...last];
    for (let i = 0; i < padded.length; i += 16) out.push(...last = aes(key).encrypt(last.map((b, j) => b ^ padded[i + j])));
    return base64(out);
  };

  // Credit+'s JWE (RFC 7516): dir and A256GCM.
  const sealJWE = async (message, key, kid) => {
    if (!crypto.subtle) throw new Error("browsers seal messages on https and localhost only");
    const header = base64url(bytes(JSON.stringify({ alg: "dir", enc: "A256GCM", kid })));
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: bytes(header) }, imported, bytes(message)));
    return [header, "", base64url(iv), base64url(sealed.slice(0, -16)), base64url(sealed.slice(-16))].join(".");
  };
  const seal = async (row, message, client) => {
    if (row.type === "application/jose") return sealJWE(message, unhex(client.key_hex), client.key_id);
    return JSON.stringify({ token: sealToken(message, unhex(client.key_hex)) });
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

  // exchange sends a row's call, with another message where one is given.
  const exchange = async (all, row, fixtures, message) => {
    const client = clientOf(fixtures, all.client, row.who);
    let body = row.blank ? " ".repeat(row.blank) : row.body;
    if (message !== undefined) body = row.clear ? await seal(row, message, client) : message;
    const headers = new Headers();
    const set = (several) => {
      for (const [name, value] of Object.entries(several ?? {})) value === null ? headers.delete(name) : headers.set(name, [].concat(value)[0]);
    };
    set(row.headers);
    set(await authorize(all, row, fixtures));
    if (body !== undefined && row.type) headers.set("Content-Type", row.type);
    set(row.override);
    const reply = await fetch(base + row.path, { method: row.method, headers, body: body === undefined ? undefined : bytes(body), redirect: "manual", credentials: "omit", cache: "no-store" });
    const got = { status: reply.status, headers: reply.headers, body: await reply.text() };
    if (row.reply.sealed) {
      try { got.clear = openToken(JSON.parse(got.body).token, unhex(client.key_hex)); } catch { got.clear = undefined; }
    }
    return { headers, body, got };
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
    if (want.body === undefined ? body !== "" : !/json/.test(want.type) ? body !== want.body : body === undefined || !same(JSON.parse(want.body), JSON.parse(body), want.volatile ?? [])) found.push("another body");
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
  const requestLines = (headers, body) => [`${row.method} ${row.path}`, ...[...headers].map(([name, value]) => `${name}: ${value}`), "",
    row.blank ? `${row.blank} blanks` : body ?? ""].join("\n").trimEnd();

  const fill = async (button) => {
    const cells = button.closest("tr");
    const cell = (label) => cells.querySelector(`[data-label="${label}"]`)?.textContent.trim() ?? "";
    all = await load();
    row = all.rows[button.dataset.try];
    at("title").textContent = cells.querySelector(".anchor").textContent;
    dialog.querySelector(".documented").textContent = ["Documented:", cell("Status"), cell("Code"), cell("Text")].filter(Boolean).join(" ");
    dialog.querySelector(".before").textContent = row.after ? "Sent before: " + row.after.join(", ") + "." : "";
    at("request").textContent = requestLines(Object.entries(row.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value[0]]), row.body);
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
    const { headers, body, got } = await exchange(all, row, fixtures, changed ? at("message").value : undefined);
    at("request").textContent = requestLines(headers, body);
    show("reply", [`${got.status}`, ...[...got.headers].filter(([name]) => ["content-type", "allow", "www-authenticate", "retry-after"].includes(name)).map(([name, value]) => `${name}: ${value}`), "", pretty(got.body)].join("\n").trimEnd());
    show("reply-clear", got.clear && pretty(got.clear));
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
