"use strict";
(() => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const { action, requestId, parentOrigin, returnUrl, texts, lang } = settings;
  const byId = (id) => document.getElementById(id);
  const number = new Intl.NumberFormat(lang);
  const here = location.pathname;

  // Events go to the program's own origin, or to the app whose web view this is, and to nobody else; they never hold a
  // digit or a length.
  const embedded = parent !== window;
  const send = (type, more) => {
    const event = { source: "pinvault", type, action, requestId, ...more };
    const text = JSON.stringify(event);
    const ways = embedded ? [() => parentOrigin && parent.postMessage(event, parentOrigin)] : [
      () => window.ReactNativeWebView?.postMessage(text),
      () => window.webkit?.messageHandlers?.pinvault?.postMessage(event),
      () => window.PinVaultAndroid?.onEvent(text),
    ];
    for (const way of ways) {
      try {
        way();
      } catch {
        // The origin is an app's, and this browser, which does not know its scheme, is not in that app; or the app fails.
      }
    }
  };
  // A page that nobody embeds leads back to whoever opened it.
  const leave = (status, { code } = {}) => {
    const url = new URL(returnUrl);
    for (const [name, value] of Object.entries({ status, requestId, code })) if (value) url.searchParams.set(name, value);
    location.replace(url);
  };
  const end = (type, more) => {
    send(type, more);
    if (returnUrl && !embedded) leave(type, more);
  };
  let height = 0;
  new ResizeObserver(() => {
    const now = Math.ceil(document.body.getBoundingClientRect().height);
    if (now !== height) send("resize", { height: (height = now) });
  }).observe(document.body);
  // A page that comes back from the browser's memory has been used: the server says what is true now.
  addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

  // The secret leaves the address at once, so that no list of visited addresses and no copied one has it. Only this
  // page's own entry keeps it, for a reload, until the session is over.
  const secret = location.hash.slice(1) || history.state?.secret || "";
  const keep = (state) => history.replaceState(state, "", here + location.search);
  keep({ secret });

  const plural = (all, n) => all[new Intl.PluralRules(lang).select(n)] ?? all.other;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => number.format(values[name]));

  const lock = byId("icon").getAttribute("d");
  const icons = { "": lock, success: "M5 12.5 10 17.5 19.5 7", failure: "M12 7v6M12 17v.01" };
  let over = false;
  // A notice takes the form's place, for good unless it offers to go on.
  const notice = (name, kind, again, label = texts.retry) => {
    const { title, text } = texts.notices[name];
    over = !again;
    if (over) keep(null);
    document.title = title;
    byId("title").textContent = title;
    byId("text").textContent = text;
    byId("text").hidden = false;
    byId("form")?.setAttribute("hidden", "");
    byId("badge").className = "badge " + kind;
    byId("icon").setAttribute("d", icons[kind]);
    byId("retry").hidden = !again;
    byId("retry").textContent = label;
    byId("retry").onclick = () => { byId("retry").hidden = true; again(); };
    byId("live").textContent = title + ". " + text;
    byId("title").focus();
  };
  const failure = (code) => code === "expired" ? ["expired", {}] : ["failure", { code }];
  const fail = (code) => { notice(code, "failure"); end(...failure(code)); };

  // The session was over before: its end has been told, so that the way back is the cardholder's to take.
  if (settings.notice) {
    keep(null);
    byId("badge").className = "badge failure";
    byId("icon").setAttribute("d", icons.failure);
    send(...failure(settings.notice));
    if (returnUrl && !embedded) {
      byId("retry").textContent = settings.back;
      byId("retry").onclick = () => leave(...failure(settings.notice));
      byId("retry").hidden = false;
    }
    return;
  }

  if (!isSecureContext || !crypto.subtle) { fail("insecure"); return; }

  const encoder = new TextEncoder();
  const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const uint32 = (n) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
  let token, key;

  // A compact JWE, ECDH-ES with A256GCM (RFC 7516; RFC 7518, 4.6 and 5.3), always of the same length.
  const seal = async (purpose, digits) => {
    const curve = { name: "ECDH", namedCurve: "P-256" };
    const own = await crypto.subtle.generateKey(curve, false, ["deriveBits"]);
    const { x, y } = await crypto.subtle.exportKey("jwk", own.publicKey);
    const header = base64url(encoder.encode(JSON.stringify({ alg: "ECDH-ES", enc: "A256GCM", epk: { kty: "EC", crv: "P-256", x, y } })));
    const theirs = await crypto.subtle.importKey("jwk", key, curve, false, []);
    const agreed = new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: theirs }, own.privateKey, 256));
    // Concat KDF in one round: counter, Z, AlgorithmID, no PartyUInfo, no PartyVInfo, key length (RFC 7518, 4.6.2).
    const round = new Uint8Array([...uint32(1), ...agreed, ...uint32(7), ...encoder.encode("A256GCM"), ...uint32(0), ...uint32(0), ...uint32(256)]);
    const cek = await crypto.subtle.importKey("raw", await crypto.subtle.digest("SHA-256", round), "AES-GCM", false, ["encrypt"]);
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const plain = encoder.encode(JSON.stringify({ for: purpose, pin: digits }).padEnd(64));
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: encoder.encode(header) }, cek, plain));
    return [header, "", base64url(iv), base64url(sealed.slice(0, -16)), base64url(sealed.slice(-16))].join(".");
  };

  const call = async (path, body) => {
    try {
      const reply = await fetch(here + "/" + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), credentials: path === "exchange" ? "same-origin" : "omit", cache: "no-store" });
      return { status: reply.status, body: reply.status === 204 ? {} : await reply.json() };
    } catch {
      return { status: 0, body: { code: "unavailable" } };
    }
  };

  // The secret is exchanged while the cardholder reads and types; a submission waits for the token.
  const exchange = async () => {
    const { status, body } = await call("exchange", { secret });
    if (status === 200) {
      ({ token, key } = body);
      if (body.step !== step && step === "current") begin(body.step); // the current PIN was right before a reload
      if (body.cardEnding) {
        byId("card").textContent = texts.card.replace("{digits}", `\u2066${body.cardEnding}\u2069`);
        byId("card").hidden = false;
      }
      setTimeout(() => { if (!over) warn(); }, Math.max(0, body.expiresIn - 60) * 1000);
      setTimeout(() => { if (!over) fail("expired"); }, body.expiresIn * 1000);
      send("ready");
    } else if (status === 410) fail("expired");
    else if (status >= 400 && status < 500) fail("unusable");
    else { notice("unavailable", "failure", enter); send("failure", { code: "unavailable" }); }
    return status === 200;
  };
  const warn = () => {
    byId("warn").textContent = byId("live").textContent = texts.expiring;
    byId("warn").hidden = false;
  };

  const steps = action === "change" ? ["current", "new", "confirm"] : ["new", "confirm"];
  const { min, max } = settings;
  const exact = min === max;
  const input = byId("pin");
  let step, chosen = "", taken = "", busy = false;
  // A current PIN may be longer or shorter than the program asks for today.
  const bounds = () => step === "current" ? { min: 4, max: 12 } : { min, max };

  for (const _ of steps) byId("bars").append(document.createElement("i"));
  byId("pad").setAttribute("aria-label", texts.pad.name);
  byId("restart").textContent = texts.restart;

  const begin = (name, error) => {
    step = name;
    const at = steps.indexOf(name) + 1;
    const hint = name === "new" ? plural(texts.new[exact ? "exact" : "hint"], max) : texts[name].hint;
    byId("step").textContent = fill(texts.step, { n: at, m: steps.length });
    [...byId("bars").children].forEach((bar, i) => { bar.className = i < at ? "done" : ""; });
    byId("label").textContent = texts[name].label;
    byId("hint").textContent = fill(hint, { min, max });
    byId("submit").textContent = name === "confirm" ? texts.save : texts.continue;
    byId("restart").hidden = name !== "confirm";
    input.value = taken = "";
    input.enterKeyHint = name === "confirm" ? "done" : "next";
    complain(error ?? "");
    byId("live").textContent = [error, byId("step").textContent, texts[name].label].filter(Boolean).join(". ");
    input.focus();
  };
  const complain = (text) => {
    byId("error").textContent = text;
    if (text) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
  };
  const refuse = (text) => {
    complain(text);
    byId("live").textContent = text;
    input.focus();
  };

  // The zeros of the world's decimal digits (Unicode, General_Category Nd) that keyboards produce.
  const zeros = [0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20, 0x1040, 0x17e0, 0x1810, 0xff10];
  const digit = (character) => {
    const code = character.codePointAt(0);
    const zero = zeros.find((z) => code >= z && code < z + 10);
    return zero === undefined ? "" : String(code - zero);
  };
  // Blanks and marks of direction come along when a PIN is pasted. What is too long is refused as it is: a part of it
  // would be another PIN than the one that was meant.
  const blanks = /[\s\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;
  const take = (text) => {
    const typed = [...text.replace(blanks, "")];
    const digits = typed.map(digit).join("");
    const long = digits.length > bounds().max;
    if (!long) taken = digits;
    if (input.value !== taken) input.value = taken;
    const error = long ? lengthError() : digits.length < typed.length ? texts.errors.digits : "";
    complain(error);
    if (error) byId("live").textContent = error;
  };
  input.addEventListener("input", (e) => { if (!e.isComposing) take(input.value); });

  const wait = (on) => {
    busy = on;
    byId("submit").setAttribute("aria-disabled", String(on));
    byId("submit").textContent = on ? texts.busy : step === "confirm" ? texts.save : texts.continue;
    input.readOnly = on;
  };
  const submit = async (purpose, digits) => {
    wait(true);
    const reply = await granted ? await call(purpose, { token, pin: await seal(purpose, digits) }) : null;
    wait(false);
    return reply;
  };
  // What ends the session whatever the step; false when there is something left to do.
  const ended = (reply) => {
    if (over || !reply) return true;
    const { status, body } = reply;
    if (status === 410) fail("expired");
    else if (status === 409 && ["card_status", "blocked"].includes(body.code)) fail(body.code);
    else if (status === 404 || status === 409) fail("unusable");
    else return false;
    return true;
  };

  const submissions = {
    current: async (digits) => {
      const reply = await submit("current", digits);
      if (ended(reply)) return;
      const { result, remainingTries } = reply.body;
      if (reply.status !== 200) begin("current", texts.errors[reply.body.code] ?? texts.errors.unavailable);
      else if (result === "match") { send("valid"); begin("new"); }
      else if (result === "blocked") fail("blocked");
      else {
        begin("current", texts.errors.wrong + " " + fill(plural(texts.tries, remainingTries), { n: remainingTries }));
      }
    },
    new: async (digits) => { chosen = digits; begin("confirm"); },
    confirm: async (digits) => {
      const same = digits === chosen;
      chosen = "";
      if (!same) { begin("new", texts.errors.mismatch); return; }
      send("valid");
      const reply = await submit("new", digits);
      if (ended(reply)) return;
      if (reply.status === 204) { notice(action, "success"); end("success"); }
      else if (reply.body.code === "pin_length") begin("new", lengthError());
      else begin("new", texts.errors[reply.body.code] ?? texts.errors.unavailable);
    },
  };
  const lengthError = () => {
    const asked = bounds();
    return fill(plural(asked.min === asked.max ? texts.exact : texts.length, asked.max), asked);
  };

  byId("form").addEventListener("submit", (e) => {
    e.preventDefault();
    if (busy || over) return;
    const digits = input.value;
    if (!digits) refuse(texts.errors.empty);
    else if (step !== "confirm" && digits.length < bounds().min) refuse(lengthError());
    else submissions[step](digits);
  });
  byId("restart").addEventListener("click", () => { chosen = ""; begin("new"); });
  // The link stays good for whoever thinks again.
  byId("cancel").addEventListener("click", () => {
    if (busy || over) return;
    chosen = input.value = taken = "";
    notice("cancelled", "", () => show(step === "current" ? "current" : "new"), texts.resume);
    end("cancel");
  });

  // The pad is for pointers: whoever has a keyboard types.
  const press = (change) => () => {
    if (!busy) take(change(input.value));
  };
  const padButton = (label, content, change) => {
    const button = document.createElement("button");
    button.type = "button";
    if (label) button.setAttribute("aria-label", label);
    button.append(content);
    button.addEventListener("click", press(change));
    byId("pad").append(button);
  };
  // Made when it is first asked for: most cardholders never do.
  const makePad = () => {
    for (const d of "1234567890") padButton("", number.format(Number(d)), (value) => value + d);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", "M9 6h11v12H9l-5-6zM12 10l4 4M16 10l-4 4");
    svg.append(path);
    padButton(texts.pad.delete, svg, (value) => value.slice(0, -1));
  };
  const toggle = byId("toggle");
  toggle.textContent = texts.pad.show;
  toggle.addEventListener("click", () => {
    const show = byId("pad").hidden;
    if (!byId("pad").firstChild) makePad();
    byId("pad").hidden = !show;
    toggle.setAttribute("aria-expanded", String(show));
    toggle.textContent = show ? texts.pad.hide : texts.pad.show;
  });

  let granted;
  const show = (name) => {
    byId("title").textContent = document.title = texts.title[action];
    byId("badge").className = "badge";
    byId("icon").setAttribute("d", lock);
    byId("text").hidden = true;
    byId("form").hidden = false;
    begin(name);
  };
  const enter = () => {
    show(steps[0]);
    granted = exchange();
    performance.mark("usable");
  };
  enter();
})();
