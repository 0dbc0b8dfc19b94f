import { mount } from "../hosted/v1/pinvault.js";

const byId = (id) => document.getElementById(id);
const flows = [
  { path: "setpin", title: "Set", card: "unchosen", note: "A card whose PIN was drawn at random" },
  { path: "resetpin", title: "Reset", card: "second", note: "Without the current PIN" },
  { path: "changepin", title: "Change", card: "normal", note: "The current PIN is {pin}" },
];
let fixtures;

const element = (name, properties, ...children) => {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children);
  return e;
};
const log = (text) => {
  byId("events").append(element("li", { textContent: text }));
  byId("events").scrollTop = byId("events").scrollHeight;
};

for (const flow of flows) {
  flow.place = element("div", { className: "place" });
  flow.text = element("p", { textContent: flow.note });
  const again = element("button", { type: "button", textContent: "Open again" });
  again.setAttribute("aria-label", flow.title + ": open again");
  again.addEventListener("click", () => open(flow));
  byId("flows").append(element("article", {}, element("div", { className: "head" }, element("span", {}, element("h2", { textContent: flow.title }), flow.text), again), flow.place));
}

// A partner's server makes this call; the sandbox's keys are public, so a page may.
const open = async (flow) => {
  const client = fixtures.clients.hashdt;
  const card = fixtures.cards[flow.card];
  flow.text.textContent = flow.note.replace("{pin}", card.pin);
  const reply = await fetch("../issuing/api/v1/card/" + flow.path, { headers: {
    "x-api-key": client["x-api-key"], "x-product-id": client["x-product-id"], "x-cardholder-id": card.cardholderId,
    "x-wallet-id": card.walletId, "x-card-id": card.hashdtCardId, "x-request-id": crypto.randomUUID?.() ?? String(Math.random()),
  } });
  const body = await reply.json();
  log("GET " + flow.path + ": " + body.message);
  flow.mounted?.unmount();
  if (!reply.ok) return;
  const url = new URL(body.data[0].set_pin_url);
  const choices = new FormData(byId("choices"));
  for (const name of ["lang", "theme"]) if (choices.get(name)) url.searchParams.set(name, choices.get(name));
  flow.mounted = mount(flow.place, url.href, { title: flow.title + " PIN", onEvent: (event) => log(JSON.stringify(event)) });
};
const openAll = () => flows.forEach(open);

byId("choices").addEventListener("change", openAll);
byId("reset").addEventListener("click", async () => {
  const reply = await fetch("reset", { method: "POST" });
  log("POST /sandbox/reset: " + reply.status);
  openAll();
});
fetch("fixtures").then((reply) => reply.json()).then((f) => { fixtures = f; openAll(); });
