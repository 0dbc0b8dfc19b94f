// The journal: calls as they come, and one of them opened.
import { html, useCallback, useEffect, useRef, useState } from "./preact.js";
import { call, docsOf, here, Problem, server, useAct, useAsked } from "./api.js";
import { Copy, copied, Field, pretty, say, Trouble, When } from "./parts.js";

const page = 50, kept = 1000;

// fits tells whether the server would list an entry under a filter: that of openapi/sandbox.yaml.
const fits = (entry, { client, card, operation, row }) => (!client || entry.client === client) && (!operation || entry.operation === operation)
  && (!card || entry.cards.some((c) => c.cardId === card)) && (!row || entry.row === row || entry.row?.split("/")[1] === row);

// merged are entries with others, newest first, each once.
const merged = (entries, others) => [...new Map([...entries, ...others].map((e) => [e.number, e])).values()].toSorted((a, b) => b.number - a.number).slice(0, kept);

// useJournal follows the journal: its entries under a filter, whether it is live, and what asks for older ones. onHeard is
// told of calls that came. An entry with a number that was there says that the journal began anew.
export const useJournal = (filter, onHeard) => {
  const [state, set] = useState({ entries: [], end: false, asked: false });
  const [live, setLive] = useState("connecting");
  const [paused, setPaused] = useState(false);
  const [waiting, setWaiting] = useState([]);
  const since = useRef([]); // what was heard while the list was asked for
  const newest = useRef(0); // of all calls that the page knows, whether they fit or not
  const pausedAt = useRef(); // the newest when the journal was paused
  const now = useRef();
  now.current = { filter, onHeard, paused, newest: Math.max(0, ...[waiting, state.entries].map((e) => e[0]?.number ?? 0)) };

  const list = (query) => {
    const given = Object.entries({ limit: page, ...now.current.filter, ...query }).filter(([, value]) => value);
    return call("GET", "journal?" + new URLSearchParams(given));
  };
  const load = useCallback(async () => {
    const asked = now.current.filter;
    since.current = [];
    try {
      const { entries } = await list();
      if (asked !== now.current.filter) return;
      const all = merged(entries, since.current);
      newest.current = Math.max(newest.current, all[0]?.number ?? 0);
      const waits = (e) => now.current.paused && e.number > pausedAt.current; // a list that comes late shows no more than was there
      set({ entries: all.filter((e) => !waits(e)), end: entries.length < page, asked: true });
      setWaiting(all.filter(waits));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      set((old) => ({ ...old, problem, asked: true }));
    }
  }, []);
  const older = async () => {
    const { entries } = await list({ before: state.entries.at(-1).number });
    set((old) => ({ ...old, entries: merged(old.entries, entries), end: entries.length < page }));
  };
  useEffect(() => { load(); }, [filter]);

  useEffect(() => {
    let source, timer, flush, heard = [];
    const take = () => {
      flush = undefined;
      const came = heard.toReversed().filter((e) => fits(e, now.current.filter)).map((e) => ({ ...e, fresh: true }));
      const anew = heard[0].number <= now.current.newest;
      newest.current = heard.at(-1).number;
      now.current.onHeard(heard);
      heard = [];
      since.current.push(...came);
      if (anew) return load();
      if (now.current.paused) return setWaiting((old) => merged(old, came));
      return set((old) => ({ ...old, entries: merged(old.entries, came) }));
    };
    const listen = () => {
      source = new EventSource(new URL("journal/live", here));
      source.onopen = () => { setLive("live"); load(); }; // with what came before, or while nobody listened
      source.addEventListener("entry", (e) => { heard.push(JSON.parse(e.data)); flush ??= setTimeout(take, 100); }); // several at once make one picture
      source.onerror = () => {
        setLive("lost");
        now.current.onHeard([]); // whatever ended it may be told of the rest
        if (source.readyState === EventSource.CLOSED) timer = setTimeout(listen, 3000); // otherwise the browser connects again
      };
    };
    listen();
    return () => { source.close(); clearTimeout(timer); clearTimeout(flush); };
  }, []);

  const pause = () => { pausedAt.current = newest.current; setPaused(true); };
  const go = () => { set((old) => ({ ...old, entries: merged(old.entries, waiting) })); setWaiting([]); setPaused(false); };
  return { ...state, live, load, older, paused, waiting: waiting.length, pause, go };
};

const lives = { connecting: "Connecting", live: "Live", lost: "Not live: the server is not reached. The page tries again." };

const Result = ({ entry }) => entry.cut
  ? html`<b class="status bad" title="The connection was cut before the reply">cut</b>`
  : html`<b class=${"status " + (entry.reply.status < 400 ? "good" : "bad")}>${entry.reply.status}</b>`;

// Changes are what a call changed of cards: "normal: tries 3 → 2".
const Changes = ({ cards }) => cards.filter((c) => c.changes.length).map((c) => html`<span class="change">${c.name ?? c.cardId}: ${c.changes.map((x) => `${x.field} ${x.before || "none"} → ${x.after || "none"}`).join(", ")}</span>`);

// replay sends an entry again and shows what that makes.
const replay = async (number) => {
  const entry = await call("POST", `journal/${number}/replay`);
  say(`Sent again as call ${entry.number}: ${entry.cut ? "cut" : entry.reply.status}.`);
  location.hash = "#entry/" + entry.number;
};

const Line = ({ entry }) => {
  const [act, problem, busy] = useAct();
  const { number, request, operation, client, row, rule, docs } = entry;
  return html`<li class=${entry.fresh ? "fresh" : ""}>
    <a class="whole" href=${"#entry/" + number}><span class="number">${number}</span> <${When} at=${entry.at} short /> ${request.method} <span class="called">${operation ?? request.path}</span></a>
    <${Result} entry=${entry} />
    <p class="facts">${client && html`<span>${client}</span>`}${row && html`<span>${row}</span>`}${rule && html`<span class="tag">${rule === "header" ? "by header" : "rule " + rule}</span>`}<${Changes} cards=${entry.cards} /></p>
    <p class="acts">
      <button type="button" class="quiet" aria-label=${`Copy call ${number} as curl`} onClick=${() => copied(entry.curl, `call ${number} as curl`)}>curl</button>
      ${docs && html`<a href=${docsOf(docs)} aria-label=${`Docs of ${row}`}>Docs</a>`}
      <button type="button" class="quiet" aria-label=${`Replay call ${number}`} disabled=${busy} onClick=${() => act(() => replay(number))}>Replay</button>
    </p>
    <${Trouble} problem=${problem} />
  </li>`;
};

const Filters = ({ filter, onFilter, cards, choices }) => {
  const [draft, set] = useState(filter); // what is typed is a filter when it is done, and stays meanwhile
  const own = useRef();
  useEffect(() => { if (filter !== own.current) set(filter); }, [filter]);
  const field = (name) => ({ value: draft[name] ?? "", onInput: (e) => set({ ...draft, [name]: e.currentTarget.value }),
    onChange: (e) => onFilter(own.current = { ...draft, [name]: e.currentTarget.value.trim() }) });
  const any = Object.values(filter).some(Boolean);
  return html`<form class="filters" role="search" aria-label="Journal" onSubmit=${(e) => e.preventDefault()}>
    <${Field} label="Client" ...${field("client")} list="known-clients" autocomplete="off" spellcheck=${false} />
    <${Field} as="select" label="Card" ...${field("card")}>
      <option value="">Any</option>
      ${cards.map((c) => html`<option value=${c.cardId}>${c.name ?? c.cardId}</option>`)}
      ${filter.card && !cards.some((c) => c.cardId === filter.card) && html`<option value=${filter.card}>${filter.card}</option>`}
    <//>
    <${Field} label="Operation" ...${field("operation")} list="known-operations" autocomplete="off" spellcheck=${false} />
    <${Field} label="Row" ...${field("row")} list="heard-rows" autocomplete="off" spellcheck=${false} />
    <datalist id="heard-rows">${choices.rows.map((r) => html`<option value=${r} />`)}</datalist>
    ${any && html`<button type="button" class="quiet" onClick=${() => onFilter({})}>Show all calls</button>`}
  </form>`;
};

export const Journal = ({ journal, filter, onFilter, cards }) => {
  const [act, problem, busy] = useAct();
  const { entries, live, paused, waiting, asked, end } = journal;
  const first = `curl -s ${server.href}livez`;
  const any = Object.values(filter).some(Boolean);
  return html`<section class="aside" aria-labelledby="at-journal">
    <div class="head">
      <h2 id="at-journal" tabindex="-1">Journal</h2>
      <p class=${"hears " + live}><i />${lives[live]}</p>
      ${paused ? html`<button type="button" onClick=${journal.go}>Go on${waiting ? `, ${waiting} new` : ""}</button>` : html`<button type="button" class="quiet" onClick=${journal.pause}>Pause</button>`}
      <button type="button" class="quiet" disabled=${busy || !entries.length} onClick=${() => act(async () => { await call("DELETE", "journal"); say("The journal is empty."); await journal.load(); })}>Empty</button>
    </div>
    <${Filters} filter=${filter} onFilter=${onFilter} cards=${cards} choices=${{ rows: [...new Set(entries.map((e) => e.row).filter(Boolean))] }} />
    <${Trouble} problem=${problem ?? journal.problem} again=${!problem && journal.load} />
    ${asked && !journal.problem && !entries.length && (any
      ? html`<p class="empty">No call fits. Take a filter away, or send one: it shows up here at once.</p>`
      : html`<div class="empty"><p>No call was sent yet. Send one, and it shows up here at once:</p><pre>${first}</pre><p><${Copy} text=${first} what="the call" /> Or press a “Try it” in <a href=${docsOf("docs/issuer#operations")}>the documentation</a>.</p></div>`)}
    <ol class="entries" aria-label="Calls, newest first">${entries.map((entry) => html`<${Line} key=${entry.number} entry=${entry} />`)}</ol>
    ${!end && entries.length > 0 && html`<p><button type="button" class="quiet" disabled=${busy} onClick=${() => act(journal.older)}>Older calls</button></p>`}
  </section>`;
};

// Message is what went one way: the first line, the headers, the body, and what is inside it.
const Message = ({ title, first, of }) => html`<section class="side">
  <h3>${title}, as ${title === "Request" ? "sent" : "answered"}</h3>
  <pre tabindex="0" aria-label=${title}>${[first, ...Object.entries(of.header).map(([name, value]) => `${name}: ${value}`)].join("\n")}${of.body ? "\n\n" + pretty(of.body) : ""}</pre>
  ${of.truncated && html`<p class="hint">There was more, which is not kept.</p>`}
  ${of.opened && html`<h3>${title}, opened</h3><pre tabindex="0" aria-label=${`${title}, opened`}>${pretty(of.opened)}</pre>`}
</section>`;

// Entry is an entry by its number. The API lists one by asking for what came before the next.
export const Entry = ({ number, names }) => {
  const { data, problem, ask } = useAsked(`journal?limit=1&before=${Number(number) + 1}`);
  const [act, refused, busy] = useAct();
  const entry = data?.entries.find((e) => String(e.number) === number);
  if (problem) return html`<${Trouble} problem=${problem} again=${ask} />`;
  if (!entry) return data && html`<p class="empty">The journal has no call ${number} any more. It keeps the latest 1000, until it is emptied or the space is reset.</p>`;
  const { request, reply, row, rule, docs } = entry;
  return html`
    <p class="acts">
      <button type="button" onClick=${() => copied(entry.curl, "the call as curl")}>Copy as curl</button>
      ${docs && html`<a href=${docsOf(docs)}>The row in the documentation</a>`}
      <button type="button" disabled=${busy} onClick=${() => act(() => replay(number))}>Replay</button>
      ${row && html`<a href=${"#rules?" + new URLSearchParams({ row })}>Set a rule for this row</a>`}
    </p>
    <${Trouble} problem=${refused} />
    <dl class="pairs">
      <dt>Result</dt><dd><${Result} entry=${entry} />${entry.cut && " The connection was cut before the reply."}</dd>
      <dt>When</dt><dd><${When} at=${entry.at} />, ${entry.ms.toFixed(1)} ms</dd>
      ${entry.contract && html`<dt>Contract</dt><dd>${entry.contract}</dd>`}
      ${entry.operation && html`<dt>Operation</dt><dd>${entry.operation}</dd>`}
      ${entry.client && html`<dt>Client</dt><dd>${entry.client}</dd>`}
      <dt>Row</dt><dd>${row ? docs ? html`<a href=${docsOf(docs)}>${row}</a>` : row : "None that is documented fits."}</dd>
      ${rule && html`<dt>Rule</dt><dd>${rule === "header" ? "The call asked for the row." : html`<a href="#rules">${rule}</a>`}</dd>`}
      ${entry.cards.map((c) => html`<dt>Card</dt><dd><a href=${"#card/" + c.cardId}>${c.name ?? names.get(c.cardId) ?? c.cardId}</a>${c.changes.length ? "" : ", nothing changed"}
        ${c.changes.length > 0 && html`<ul class="changes">${c.changes.map((x) => html`<li>${x.field} <b>${x.before || "none"}</b> → <b>${x.after || "none"}</b></li>`)}</ul>`}</dd>`)}
    </dl>
    <div class="sides">
      <${Message} title="Request" first=${`${request.method} ${request.path}`} of=${request} />
      <${Message} title="Reply" first=${entry.cut ? "cut" : String(reply.status)} of=${reply} />
    </div>
    <details><summary>The call as curl</summary><pre tabindex="0" aria-label="The call as curl">${entry.curl}</pre></details>`;
};

// CallsOf are a card's latest calls.
export const CallsOf = ({ card, heard }) => {
  const { data, problem, ask } = useAsked(`journal?limit=10&card=${card}`);
  useEffect(() => { if (heard) ask(); }, [heard]);
  return html`<h3>Latest calls</h3>
    <${Trouble} problem=${problem} again=${ask} />
    ${data && !data.entries.length && html`<p class="empty">No call has found this card yet. Copy a reference above and send one.</p>`}
    ${data?.entries.length > 0 && html`<ol class="entries">${data.entries.map((e) => html`<${Line} key=${e.number} entry=${e} />`)}</ol>
    <p><a href=${"#journal?" + new URLSearchParams({ card })}>Show the journal of this card alone</a></p>`}`;
};
