// Rules: those that are set, and a form for one more.
import { html, useEffect, useId, useRef, useState } from "./preact.js";
import { call, docsOf, useAct } from "./api.js";
import { Copy, count, Field, say, Sure, Trouble, useFirstWrong } from "./parts.js";

const faults = {
  database: "The database is gone", "database-later": "The database is gone once it is known who calls", internal: "An unexpected error",
  "internal-later": "An unexpected error once it is known who calls", device: "Credit+: the device's part is gone",
  "device-plan": "Credit+: the device plan's part is gone", "access-point": "Credit+: the access point's part is gone",
};
const drops = { before: "before it has an effect", after: "after its effect, before the reply" };

const calls = (rule, names) => [rule.client && `client ${rule.client}`, rule.operation, rule.card && `card ${names.get(rule.card) ?? rule.card}`].filter(Boolean).join(", ");
const delayed = ({ distribution, minMs, maxMs }) => ({ fixed: `${minMs} ms later`, uniform: `${minMs} to ${maxMs} ms later`, lognormal: `half of them ${minMs} ms later or less, 99 in 100 ${maxMs} or less` })[distribution];
const effect = (rule) => [rule.row, rule.fault && faults[rule.fault], rule.drop && `Cut ${drops[rule.drop]}`, rule.delay && delayed(rule.delay)].filter(Boolean).join(", ");
const often = ({ times, probability }) => [probability < 1 && `${Math.round(probability * 10000) / 100} in 100`, times ? count(times, "time") : "always"].filter(Boolean).join(", ");

const Rule = ({ rule, names, onDone }) => {
  const [act, problem, busy] = useAct();
  const remove = () => act(async () => { await call("DELETE", "rules/" + rule.id); say(`The rule ${rule.id} is removed.`); await onDone(); });
  return html`<tr>
    <th scope="row">${rule.id}</th>
    <td data-label="Calls">${calls(rule, names) || "all"}</td>
    <td data-label="What happens">${effect(rule)}</td>
    <td data-label="How often">${often(rule)}</td>
    <td data-label="Taken">${rule.taken}${rule.times && rule.taken >= rule.times ? html` <span class="tag">spent</span>` : ""}</td>
    <td><button type="button" class="quiet" aria-label=${`Remove the rule ${rule.id}`} disabled=${busy} onClick=${remove}>Remove</button><${Trouble} problem=${problem} /></td>
  </tr>`;
};

const most = 50; // options that are shown at once

const words = (row) => `${row.contract} ${row.row} ${row.status} ${row.code ?? ""} ${row.summary} ${row.by} ${row.fault ?? ""}`.toLowerCase();

// Picker takes a row by some of its words: a combobox with a list (WAI-ARIA APG).
const Picker = ({ rows, value, onValue, error }) => {
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const id = useId(), list = useRef();
  const wanted = value.toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = rows.filter((r) => wanted.every((w) => words(r).includes(w)));
  const options = fitting.slice(0, most);
  const picked = rows.find((r) => r.row === value);
  const shown = open && !(picked && fitting.length === 1) && options.length > 0;
  const pick = (row) => { onValue(row.row); setOpen(false); setActive(-1); };
  useEffect(() => { list.current?.children[active]?.scrollIntoView({ block: "nearest" }); }, [active]);
  const keys = (e) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      setOpen(true);
      if (options.length) setActive((active + (e.key === "ArrowDown" ? 1 : active < 0 ? 0 : -1) + options.length) % options.length);
    } else if (e.key === "Enter" && shown && options[active]) {
      e.preventDefault();
      pick(options[active]);
    } else if (e.key === "Escape" && shown) {
      e.preventDefault();
      setOpen(false);
    }
  };
  return html`<div class="picker">
    <${Field} label="Row" required role="combobox" aria-autocomplete="list" aria-expanded=${String(shown)} aria-controls=${id} aria-activedescendant=${shown && active >= 0 ? `${id}-${active}` : undefined}
      autocomplete="off" spellcheck=${false} value=${value} hint="Search by some words, such as “thredd 404” or “blocked”" error=${error}
      onInput=${(e) => { onValue(e.currentTarget.value); setOpen(true); setActive(-1); }} onClick=${() => setOpen(true)} onBlur=${() => setOpen(false)} onKeyDown=${keys} />
    <div class="options" hidden=${!shown} onMouseDown=${(e) => e.preventDefault()}><ul id=${id} ref=${list} role="listbox" aria-label="Rows">
      ${shown && options.map((r, i) => html`<li key=${r.row + r.contract} id=${`${id}-${i}`} role="option" aria-selected=${String(i === active)} class=${i === active ? "active" : ""} onClick=${() => pick(r)}>
        <b>${r.status}</b> ${r.row} <small>${r.contract}: ${r.summary}</small></li>`)}
    </ul>${fitting.length > most && html`<p class="hint">${fitting.length - most} more fit: add a word.</p>`}</div>
    <p class="hint" role="status">${rows.length > 0 && value && !fitting.length && "No row has all these words."}</p>
    ${picked && html`<p class="picked"><b>${picked.status} ${picked.code ?? ""}</b> ${picked.summary} ${picked.docs && html`<a href=${docsOf(picked.docs)}>Documentation</a>`} <${Copy} text=${picked.curl} what="a call that has the row by header">Copy a call</${Copy}></p>`}
  </div>`;
};

const blank = { id: "", client: "", operation: "", card: "", times: "", percent: "100", effect: "row", row: "", fault: "database", drop: "before", delay: "", minMs: "200", maxMs: "900" };

// ruleOf is what the form says as the API takes it.
const ruleOf = (d) => {
  const rule = Object.fromEntries(["id", "client", "operation", "card"].filter((name) => d[name]).map((name) => [name, d[name]]));
  if (d.effect !== "delay") rule[d.effect] = d[d.effect];
  if (d.times) rule.times = Number(d.times);
  if (d.percent !== "100") rule.probability = Number(d.percent) / 100;
  if (d.delay) rule.delay = { distribution: d.delay, minMs: Number(d.minMs), ...d.delay !== "fixed" && { maxMs: Number(d.maxMs) } };
  return rule;
};

// placed are the fields beside which the form tells what is wrong.
const placed = ["/id", "/client", "/operation", "/card", "/times", "/probability", "/row", "/fault", "/drop", "/delay/minMs", "/delay/maxMs"];
const elsewhere = (problem) => problem && !placed.some((f) => problem.of(f)) && !["duplicate", "row_unknown"].includes(problem.code);

const Form = ({ given, rows, cards, onDone }) => {
  const [draft, set] = useState({ ...blank, ...given });
  const [act, problem, busy] = useAct();
  const form = useFirstWrong(problem);
  useEffect(() => { if (Object.keys(given).length) set({ ...blank, ...given }); }, [given]);
  const field = (name) => ({ value: draft[name], onInput: (e) => set({ ...draft, [name]: e.currentTarget.value }) });
  const wrong = (name, ...codes) => problem?.of("/" + name, ...codes);
  const send = (e) => {
    e.preventDefault();
    act(async () => {
      const rule = await call("POST", "rules", ruleOf(draft));
      say(`The rule ${rule.id} is set.`);
      set(blank);
      await onDone();
    });
  };
  const effects = [["row", "A documented row comes out"], ["fault", "Something fails"], ["drop", "The connection is cut"], ["delay", "It only takes longer"]];
  return html`<form ref=${form} class="form" aria-labelledby="new-rule" onSubmit=${send}>
    <h3 id="new-rule">Set a rule</h3>
    <fieldset><legend>What happens</legend>
      <div class="choices">${effects.map(([value, label]) => html`<label><input type="radio" name="effect" value=${value} checked=${draft.effect === value} onChange=${() => set({ ...draft, effect: value, delay: value === "delay" ? draft.delay || "fixed" : draft.delay })} /> ${label}</label>`)}</div>
      ${draft.effect === "row" && html`<${Picker} rows=${rows.data?.rows ?? []} value=${draft.row} onValue=${(row) => set({ ...draft, row })} error=${wrong("row", "row_unknown")} /><${Trouble} problem=${rows.problem} again=${rows.ask} />`}
      ${draft.effect === "fault" && html`<${Field} as="select" label="What fails" ...${field("fault")} error=${wrong("fault")}>${Object.entries(faults).map(([value, label]) => html`<option value=${value}>${label}</option>`)}<//>`}
      ${draft.effect === "drop" && html`<${Field} as="select" label="When it is cut" ...${field("drop")} error=${wrong("drop")}>${Object.entries(drops).map(([value, label]) => html`<option value=${value}>${label}</option>`)}<//>`}
      <div class="fieldrow">
        <${Field} as="select" label="Delay" ...${field("delay")} error=${wrong("delay") ?? wrong("delay/distribution")}>
          ${draft.effect !== "delay" && html`<option value="">None</option>`}
          <option value="fixed">The same each time</option><option value="uniform">Evenly between two</option><option value="lognormal">Mostly short, some long</option>
        <//>
        ${draft.delay && html`<${Field} label=${{ fixed: "Milliseconds", uniform: "At least, ms", lognormal: "Half of them below, ms" }[draft.delay]} type="number" min="0" max="60000" required ...${field("minMs")} error=${wrong("delay/minMs")} />`}
        ${draft.delay && draft.delay !== "fixed" && html`<${Field} label=${draft.delay === "uniform" ? "At most, ms" : "99 in 100 below, ms"} type="number" min="0" max="60000" required ...${field("maxMs")} error=${wrong("delay/maxMs")} />`}
      </div>
    </fieldset>
    <fieldset><legend>To which calls</legend>
      <div class="fieldrow">
        <${Field} label="Client" ...${field("client")} error=${wrong("client")} list="known-clients" autocomplete="off" spellcheck=${false} placeholder="any" />
        <${Field} label="Operation" ...${field("operation")} error=${wrong("operation")} list="known-operations" autocomplete="off" spellcheck=${false} placeholder=${draft.effect === "row" ? "that of the row" : "any"} />
        <${Field} as="select" label="Card" ...${field("card")} error=${wrong("card")}><option value="">Any, found or not</option>${cards.map((c) => html`<option value=${c.cardId}>${c.name ?? c.cardId}</option>`)}<//>
      </div>
    </fieldset>
    <fieldset><legend>How often</legend>
      <div class="fieldrow">
        <${Field} label="Times" type="number" min="1" max="1000000" ...${field("times")} error=${wrong("times")} placeholder="always" />
        <${Field} label="In how many of 100 calls" type="number" min="0" max="100" step="any" required ...${field("percent")} error=${wrong("probability")} />
        <${Field} label="Id" ...${field("id")} maxlength="40" error=${wrong("id", "duplicate")} autocomplete="off" spellcheck=${false} placeholder="one that is drawn" />
      </div>
    </fieldset>
    <${Trouble} problem=${elsewhere(problem) && problem} />
    <p><button disabled=${busy}>Set the rule</button></p>
  </form>`;
};

export const Rules = ({ rules, rows, cards, names, given }) => {
  const [act, problem, busy] = useAct();
  const all = rules.data?.rules;
  const clear = () => act(async () => { await call("DELETE", "rules"); say("There is no rule any more."); await rules.ask(); });
  return html`<section aria-labelledby="at-rules">
    <div class="head"><h2 id="at-rules" tabindex="-1">Rules</h2>${all?.length > 0 && html`<${Sure} label="Remove all" ask="Remove all rules?" yes="Remove" busy=${busy} onYes=${clear} />`}</div>
    <p>The first rule that fits a call is taken. One with a card takes effect when the server finds the card.</p>
    <${Trouble} problem=${problem ?? rules.problem} again=${!problem && rules.ask} />
    ${all && !all.length && html`<p class="empty">There is no rule: every call is answered as the vault has it. Set one below, and look at the journal.</p>`}
    ${all?.length > 0 && html`<table class="stack rows"><thead><tr><th scope="col">Rule</th><th scope="col">Calls</th><th scope="col">What happens</th><th scope="col">How often</th><th scope="col">Taken</th><th scope="col"><span class="heard">Remove</span></th></tr></thead>
      <tbody>${all.map((r) => html`<${Rule} key=${r.id} rule=${r} names=${names} onDone=${rules.ask} />`)}</tbody></table>`}
    <${Form} given=${given} rows=${rows} cards=${cards} onDone=${rules.ask} />
  </section>`;
};
