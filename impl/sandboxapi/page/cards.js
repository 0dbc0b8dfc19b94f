// The cards as they stand, and one of them opened.
import { html, useState } from "./preact.js";
import { CallsOf } from "./journal.js";
import { History } from "./history.js";
import { docsOf } from "./api.js";
import { Copy, count, Field, Tries, Trouble } from "./parts.js";

const pins = { none: "none", assigned: "drawn at random", chosen: "chosen" };

const Pin = ({ card }) => card.pinState === "none" ? html`<span class="soft">none</span>`
  : html`${card.pin ? html`<code>${card.pin}</code>` : html`<span class="soft">not kept</span>`}${card.pinState === "assigned" && html` <span class="tag">drawn</span>`}`;

const Status = ({ status }) => html`<span class=${"tag " + (status === "normal" ? "good" : "bad")}>${status}</span>`;

// named is what a card is called.
export const named = (card) => card.name ?? card.cardId;

// found are the cards that have every word, in themselves or in their references.
const found = (cards, references, text) => {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return cards.filter((c) => {
    const all = JSON.stringify([c.name, c.cardId, c.status, c.fate, references[c.name]]).toLowerCase();
    return words.every((w) => all.includes(w));
  });
};

export const Cards = ({ cards, fixtures }) => {
  const [text, setText] = useState("");
  const all = cards.data?.cards ?? [];
  const shown = found(all, fixtures.data?.cards ?? {}, text);
  return html`<section aria-labelledby="at-cards">
    <h2 id="at-cards" tabindex="-1">Cards</h2>
    <p>All of it is public test data. A PIN that is wrong three times blocks its card in every contract.</p>
    <${Field} label="Find a card" type="search" value=${text} onInput=${(e) => setText(e.currentTarget.value)} hint="By name, status, fate, PAN, token or any other reference" autocomplete="off" />
    <${Trouble} problem=${cards.problem} again=${cards.ask} />
    ${cards.data && !shown.length && html`<p class="empty">${all.length ? "No card fits. Search for less of it." : "There is no card. Reset the space, under Spaces, to have those of the fixtures."}</p>`}
    ${shown.length > 0 && html`<table class="stack rows brief"><caption class="heard">${count(shown.length, "card")}</caption>
      <thead><tr><th scope="col">Card</th><th scope="col">Status</th><th scope="col">PIN</th><th scope="col">Tries</th><th scope="col">Fate</th></tr></thead>
      <tbody>${shown.map((c) => html`<tr key=${c.cardId}>
        <th scope="row"><a class="whole" href=${"#card/" + c.cardId}>${named(c)}</a></th>
        <td data-label="Status"><${Status} status=${c.status} /></td>
        <td data-label="PIN"><${Pin} card=${c} /></td>
        <td data-label="Tries"><${Tries} left=${c.remainingTries} limit=${c.tryLimit} /></td>
        <td data-label="Fate">${c.fate?.text}</td>
      </tr>`)}</tbody></table>`}
  </section>`;
};

export const Card = ({ id, cards, fixtures, rows, heard }) => {
  const card = cards.data?.cards.find((c) => c.cardId === id);
  if (cards.problem) return html`<${Trouble} problem=${cards.problem} again=${cards.ask} />`;
  if (!card) return cards.data && html`<p class="empty">There is no such card in this space any more.</p>`;
  const references = Object.entries(fixtures.data?.cards[card.name] ?? {}).filter(([name, value]) => !["pin", "status", "upgradeStatus"].includes(name) && value !== "");
  const links = new Map(rows.data?.rows.map((r) => [r.row, r.docs]));
  return html`
    <dl class="pairs">
      <dt>Status</dt><dd><${Status} status=${card.status} /></dd>
      <dt>PIN</dt><dd>${card.pin && html`<code>${card.pin}</code> `}${pins[card.pinState]}${card.pinState !== "none" && !card.pin && ", not kept for retrieval"} ${card.pin && html`<${Copy} text=${card.pin} what="the PIN" />`}</dd>
      <dt>Tries</dt><dd><${Tries} left=${card.remainingTries} limit=${card.tryLimit} /></dd>
      <dt>PAN</dt><dd>${card.pan}</dd>
      ${card.fate && html`<dt>Fate</dt><dd>${card.fate.text}${card.fate.rows.length > 0 && html`<ul class="changes">${card.fate.rows.map((r) => html`<li>${links.get(r) ? html`<a href=${docsOf(links.get(r))}>${r}</a>` : r}</li>`)}</ul>`}</dd>`}
    </dl>
    <h3>History</h3>
    <${History} events=${card.history} limit=${card.tryLimit ?? card.remainingTries} />
    <p class="acts"><a href=${"#rules?" + new URLSearchParams({ card: id })}>Set a rule for this card</a></p>
    <h3>References</h3>
    <${Trouble} problem=${fixtures.problem} again=${fixtures.ask} />
    <dl class="copies">${(references.length ? references : [["cardId", id], ["programId", card.programId]]).map(([name, value]) => html`<div><dt>${name}</dt><dd><code>${String(value)}</code> <${Copy} text=${String(value)} what=${name} /></dd></div>`)}</dl>
    <${CallsOf} card=${id} heard=${heard} />`;
};
