// What the views are made of.
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from "./preact.js";

// say tells what was done, to eyes for a while and to screen readers, which do not hear what lies behind a dialog.
let silence;
export const say = (text) => {
  const said = document.querySelector("dialog[open] .said") ?? document.getElementById("said");
  said.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { said.textContent = ""; }, 5000);
};

// copied puts text into the clipboard. Over plain http from another machine browsers have none but the old way.
export const copied = async (text, what) => {
  try { await navigator.clipboard.writeText(text); } catch {
    const box = Object.assign(document.createElement("textarea"), { value: text, className: "heard" });
    (document.querySelector("dialog[open]") ?? document.body).append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    if (!done) return say(`The browser does not let this page copy. Select ${what} and copy it by hand.`);
  }
  return say(`Copied ${what}.`);
};

export const Copy = ({ text, what, children = "Copy" }) => html`<button type="button" class="quiet" aria-label=${`Copy ${what}`} onClick=${() => copied(text, what)}>${children}</button>`;

// Trouble tells a problem where it happened.
export const Trouble = ({ problem, again }) => problem && html`<p class="trouble" role="alert">${problem.message}${again && html` <button type="button" class="quiet" onClick=${again}>Try again</button>`}</p>`;

// Field is a labelled input, or what as says, with what is to be known of it and what is wrong with it.
export const Field = ({ as = "input", label, hint, error, children, ...rest }) => {
  const id = useId();
  const told = [hint && id + "-hint", error && id + "-error"].filter(Boolean).join(" ") || undefined;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <${as} id=${id} aria-describedby=${told} aria-invalid=${error ? "true" : undefined} ...${rest}>${children}<//>
    ${hint && html`<p class="hint" id=${id + "-hint"}>${hint}</p>`}
    ${error && html`<p class="trouble" id=${id + "-error"}>${error}</p>`}
  </div>`;
};

// useFirstWrong puts the focus on the first field of a form that a problem is about.
export const useFirstWrong = (problem) => {
  const form = useRef();
  useEffect(() => { if (problem) form.current?.querySelector("[aria-invalid=true]")?.focus(); }, [problem]);
  return form;
};

// Sure is a button that asks before it does what cannot be undone.
export const Sure = ({ label, name = label, ask, yes, busy, onYes }) => {
  const [asked, set] = useState(false);
  const box = useRef();
  const pressed = useRef(false); // nothing moves the focus before somebody pressed it
  useLayoutEffect(() => { if (pressed.current) box.current?.querySelector("button")?.focus(); }, [asked]);
  const turn = (to) => { pressed.current = true; set(to); };
  return html`<span ref=${box} class="sure" onKeyDown=${(e) => { if (asked && e.key === "Escape") { e.preventDefault(); e.stopPropagation(); turn(false); } }}>${asked
    ? html`<span role="group" aria-label=${ask}><span>${ask}</span> <button type="button" class="grave" onClick=${() => { turn(false); onYes(); }}>${yes}</button> <button type="button" class="quiet" onClick=${() => turn(false)}>No</button></span>`
    : html`<button type="button" class="quiet" aria-label=${name} disabled=${busy} onClick=${() => turn(true)}>${label}</button>`}</span>`;
};

// Tries are those that are left, as dots.
export const Tries = ({ left, limit = left }) => html`<span class=${left ? "tries" : "tries none"} role="img" aria-label=${left ? `${left} of ${limit} tries left` : "No tries left: the PIN is blocked"}>
  ${Array.from({ length: Math.min(limit, 10) }, (_, i) => html`<i class=${i < left ? "left" : ""} />`)}<span aria-hidden="true">${left ? `${left}/${limit}` : "blocked"}</span></span>`;

// Shown is a modal dialog: the browser keeps the focus in it, and gives it back when it is closed.
export const Shown = ({ title, onClose, children }) => {
  const dialog = useRef();
  const gone = useRef(false);
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown.showModal();
    return () => { gone.current = true; shown.close(); };
  }, []);
  const first = useRef(true);
  useEffect(() => { // the focus is nowhere when what had it is gone
    if (!first.current) dialog.current.querySelector("h2").focus();
    first.current = false;
  }, [title]);
  return html`<dialog ref=${dialog} aria-labelledby="shown" onClose=${() => { if (!gone.current) onClose(); }} onClick=${(e) => { if (e.target === dialog.current) dialog.current.close(); }}>
    <div class="bar"><form method="dialog"><button class="close">Close</button></form><h2 id="shown" tabindex="-1">${title}</h2></div>
    ${children}
    <p class="said" role="status" />
  </dialog>`;
};

// Clock times are those of the space, in UTC.
const utc = (at) => new Date(at).toISOString();
export const day = (at) => utc(at).slice(0, 10);
export const second = (at) => utc(at).slice(11, 19);
export const When = ({ at, short }) => html`<time datetime=${at} title=${utc(at)}>${short ? second(at) : `${day(at)} ${second(at)} UTC`}</time>`;

export const count = (n, one, many = one + "s") => `${n} ${n === 1 ? one : many}`;

// inWords is a length of time: its largest two units.
export const inWords = (seconds) => {
  const parts = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].map(([length, name]) => {
    const n = Math.floor(seconds / length);
    seconds -= n * length;
    return n && count(n, name);
  });
  const first = parts.findIndex(Boolean);
  return first < 0 ? "no time" : parts.slice(first, first + 2).filter(Boolean).join(" ");
};

// pretty is JSON with a line for each member, and any other text as it is.
export const pretty = (text) => { try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; } };
