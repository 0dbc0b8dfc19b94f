// The page /sandbox: what the sandbox holds and hears, and what may be done with it. What is shown follows from the
// API's answers and from the URL's fragment: #cards, #journal, #rules, #clock, #spaces, and #card/<id> or #entry/<number>
// opened over one of them.
import { html, render, useEffect, useRef, useState } from "./preact.js";
import { here, pageOf, root, space, useAsked } from "./api.js";
import { Card, Cards, named } from "./cards.js";
import { Clock, Time } from "./clock.js";
import { Entry, Journal, useJournal } from "./journal.js";
import { Rules } from "./rules.js";
import { Shown } from "./parts.js";
import { Spaces } from "./spaces.js";

const views = { cards: "Cards", journal: "Journal", rules: "Rules", clock: "Clock", spaces: "Spaces" };

// next is the route that the fragment leads to from another one. The pane is the view beside the journal, where there is
// room for both.
const next = (before) => {
  const [path, query] = location.hash.slice(1).split("?");
  const [kind, id] = path.split("/").map(decodeURIComponent);
  if (kind === "card" || kind === "entry") return { ...before, open: { kind, id } };
  const view = kind in views ? kind : "cards";
  return { view, pane: view === "journal" ? before.pane : view, given: Object.fromEntries(new URLSearchParams(query)) };
};

const useRoute = () => {
  const [route, set] = useState(() => next({ view: "cards", pane: "cards", given: {} }));
  useEffect(() => {
    const changed = () => set(next);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
};

// useHeading puts the focus on the heading of a view that was gone to, as a page that loads would.
const useHeading = (view) => {
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) document.getElementById("at-" + view)?.focus();
    first.current = false;
  }, [view]);
};

// useSeldom makes of many calls one, half a second later at most.
const useSeldom = (does) => {
  const timer = useRef(), now = useRef();
  now.current = does;
  return () => { timer.current ??= setTimeout(() => { timer.current = undefined; now.current(); }, 500); };
};

// clientOf is the id of a client of the fixtures, without the space: some contracts name it in a header, some before their
// secret.
const clientOf = ([name, c]) => (c.client_id ?? c["x-client-id"] ?? c["x-api-key"]?.split(".")[0] ?? name + "-sandbox").split("@")[0];

const App = () => {
  const { view, pane, open, given } = useRoute();
  const [filter, setFilter] = useState({});
  const [heard, hear] = useState(0);
  const cards = useAsked("cards"), rules = useAsked("rules"), clock = useAsked("clock"), fixtures = useAsked("fixtures");
  const rows = useAsked("rows", { wanted: pane === "rules" || open?.kind === "card" });
  const spaces = useAsked("spaces", { base: new URL("sandbox/", root), wanted: pane === "spaces" });
  const snapshots = useAsked("snapshots", { base: new URL("sandbox/", root), wanted: pane === "spaces" });

  const follow = useSeldom(() => { cards.ask(); rules.ask(); hear((n) => n + 1); });
  const journal = useJournal(filter, follow);
  const everything = () => Promise.all([cards, rules, fixtures, clock, ...pane === "spaces" ? [spaces, snapshots] : []].map((a) => a.ask()).concat(journal.load()));
  const back = useRef();
  back.current = everything;
  useEffect(() => { // somebody else may have moved things meanwhile
    const seen = () => { if (document.visibilityState === "visible") back.current(); };
    document.addEventListener("visibilitychange", seen);
    return () => document.removeEventListener("visibilitychange", seen);
  }, []);
  useEffect(() => { if (pane === "clock") clock.ask(); if (pane === "rules") rules.ask(); }, [pane]);
  useEffect(() => { if (view === "journal" && Object.keys(given).length) setFilter(given); }, [view, given]);
  useHeading(view);

  const all = cards.data?.cards ?? [];
  const names = new Map(all.map((c) => [c.cardId, named(c)]));
  const clients = [...new Set([...Object.entries(fixtures.data?.clients ?? {}).map(clientOf), ...journal.entries.map((e) => e.client).filter(Boolean)])].sort();
  const operations = [...new Set([...rows.data?.rows.map((r) => r.operation) ?? [], ...journal.entries.map((e) => e.operation).filter(Boolean)])].sort();
  const close = () => { location.hash = "#" + view; };

  if (space && cards.problem?.status === 404) return html`<main><h1>Sandbox</h1>
    <p class="empty">There is no space ${space} any more: it was removed, a day has gone by, or the server was started anew. <a href=${pageOf("") + "#spaces"}>Go to the first space</a>, and make another there.</p></main>`;
  return html`
    <header class="top"><nav aria-label="Pages"><a href=${root.href}><strong>PinVault</strong></a> <a href=${new URL("docs", root).href}>Docs</a> <a href=${new URL("iframe", here).href}>Hosted page</a> <a href=${new URL("fixtures", here).href}>Fixtures</a></nav></header>
    <main>
      <div class="head"><h1>Sandbox</h1>
        <p>Space <a href="#spaces">${space || "first"}</a></p>
        <p>Clock <${Time} clock=${clock.data} href="#clock" /></p></div>
      <nav class="views" aria-label="Sandbox">${Object.entries(views).map(([name, title]) => html`<a href=${"#" + name} class=${name === pane ? "pane" : ""} aria-current=${name === view ? "page" : undefined}>${title}</a>`)}</nav>
      <div class="board" data-view=${view}>
        <div class="pane">
          ${pane === "cards" && html`<${Cards} cards=${cards} fixtures=${fixtures} />`}
          ${pane === "rules" && html`<${Rules} rules=${rules} rows=${rows} cards=${all} names=${names} given=${given} />`}
          ${pane === "clock" && html`<${Clock} clock=${clock} />`}
          ${pane === "spaces" && html`<${Spaces} spaces=${spaces} snapshots=${snapshots} onReset=${everything} onRestored=${everything} />`}
        </div>
        <${Journal} journal=${journal} filter=${filter} onFilter=${setFilter} cards=${all} />
      </div>
      <datalist id="known-clients">${clients.map((c) => html`<option value=${c} />`)}</datalist>
      <datalist id="known-operations">${operations.map((o) => html`<option value=${o} />`)}</datalist>
    </main>
    ${open && html`<${Shown} title=${open.kind === "card" ? names.get(open.id) ?? "Card" : "Call " + open.id} onClose=${close}>${open.kind === "card"
      ? html`<${Card} key=${open.id} id=${open.id} cards=${cards} fixtures=${fixtures} rows=${rows} heard=${heard} />`
      : html`<${Entry} key=${open.id} number=${open.id} names=${names} />`}<//>`}`;
};

document.title = "Sandbox" + (space && ", " + space);
document.getElementById("console").replaceChildren();
render(html`<${App} />`, document.getElementById("console"));
