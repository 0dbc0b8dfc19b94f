// A card's history as a picture: how many tries were left after each event, and what the events were.
import { html, useLayoutEffect, useRef, useState } from "./preact.js";
import { count, day, second } from "./parts.js";

const height = 150, top = 14, bottom = 34, left = 26, right = 12, step = 16;

// What an event is called, and the mark that it has: told apart by shape, not by colour alone.
const kinds = {
  "card.created": ["Card made", "dot"], "card.updated": ["Card changed", "dot"], "card.status_changed": ["Status changed", "dot"],
  "pin.set": ["PIN set", "diamond"], "pin.changed": ["PIN changed", "diamond"], "pin.reset": ["PIN reset", "diamond"], "pin.verified": ["PIN right", "disc"], "pin.failed": ["PIN wrong", "cross"],
  "pin.blocked": ["PIN blocked", "square"], "pin.unblocked": ["PIN unblocked", "ring"], "pin.revealed": ["PIN shown", "dot"], "pin.refused": ["Refused", "cross"],
  "pin.session_opened": ["Hosted page opened", "dot"], "pin.session_completed": ["Hosted page done", "dot"], "pin.session_expired": ["Hosted page expired", "dot"],
};
const kind = (type) => kinds[type] ?? [type, "dot"];

export const Mark = ({ shape, x = 0, y = 0 }) => {
  const at = { transform: `translate(${x} ${y})`, class: "mark " + shape };
  if (shape === "diamond") return html`<path ...${at} d="M0-6 6 0 0 6-6 0Z" />`;
  if (shape === "cross") return html`<path ...${at} d="M-5-5 5 5M-5 5 5-5" />`;
  if (shape === "square") return html`<path ...${at} d="M-5-5H5V5H-5Z" />`;
  return html`<circle ...${at} r=${shape === "dot" ? 3 : 5} />`;
};

// layout places events at even distances, oldest first, since tests make many in a second and a moved clock none for days.
// An event that does not say how many tries were left has as many as the one before.
export const layout = (events, limit, width) => {
  const room = Math.max(1, Math.floor((width - left - right) / step) + 1);
  let tries;
  const all = events.map((e) => ({ ...e, tries: tries = e.remainingTries ?? tries }));
  const shown = all.slice(-room);
  const most = Math.max(1, limit, ...shown.map((e) => e.tries ?? 0));
  const gap = Math.min(72, (width - left - right) / Math.max(1, shown.length - 1));
  const y = (n) => top + (height - top - bottom) * (1 - n / most);
  const points = shown.map((e, i) => ({ ...e, x: left + i * gap, y: y(e.tries ?? 0) }));
  const known = points.filter((p) => p.tries !== undefined);
  const line = known.map((p, i) => i ? `H${p.x}V${p.y}` : `M${p.x} ${p.y}`).join("");
  return { points, line, most, y, older: all.length - shown.length };
};

const tell = (e) => [`${day(e.at)} ${second(e.at)}`, kind(e.type)[0] + (e.outcome && e.outcome !== "success" ? ` (${e.outcome})` : ""), e.remainingTries !== undefined && count(e.remainingTries, "try", "tries") + " left",
  e.client && `by ${e.client}`, e.contract && `through ${e.contract}`].filter(Boolean).join(", ");

export const History = ({ events, limit }) => {
  const box = useRef();
  const [width, setWidth] = useState(320);
  const [chosen, choose] = useState();
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width)));
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  if (!events.length) return html`<div ref=${box}><p class="empty">Nothing has happened to this card yet.</p></div>`;
  const { points, line, most, y, older } = layout(events, limit, width);
  const at = Math.min(chosen ?? points.length - 1, points.length - 1);
  const keys = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: points.length - 1 };
  const move = (e) => {
    if (!(e.key in keys)) return;
    e.preventDefault();
    choose(Math.max(0, Math.min(points.length - 1, keys[e.key])));
  };
  const days = points.filter((p, i) => i === 0 || day(p.at) !== day(points[i - 1].at)).filter((p, i, all) => i === 0 || p.x - all[i - 1].x > 74);
  const used = [...new Map(points.map((p) => [kind(p.type)[0], kind(p.type)[1]]))];
  return html`<div ref=${box} class="history">
    <svg width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="listbox" tabindex="0" aria-label="Events, oldest first" aria-activedescendant=${"event-" + at} onKeyDown=${move}>
      <g aria-hidden="true">${Array.from({ length: most + 1 }, (_, n) => html`<line class="grid" x1=${left - 6} x2=${width} y1=${y(n)} y2=${y(n)} /><text class="axis" x=${left - 12} y=${y(n) + 4} text-anchor="end">${n}</text>`)}
        ${days.map((p) => html`<text class="axis" x=${p.x > width - 74 ? width : p.x - 6} y=${height - 6} text-anchor=${p.x > width - 74 ? "end" : "start"}>${day(p.at)}</text>`)}
        <path class="line" d=${line} /></g>
      ${points.map((p, i) => html`<g key=${i} id=${"event-" + i} role="option" aria-selected=${String(i === at)} aria-label=${tell(p)} class=${i === at ? "chosen" : ""} onMouseEnter=${() => choose(i)} onClick=${() => choose(i)}>
        <rect class="hit" x=${p.x - step / 2} y="0" width=${step} height=${height - 18} /><${Mark} shape=${kind(p.type)[1]} x=${p.x} y=${p.y} /></g>`)}
    </svg>
    <p class="told">${tell(points[at])}</p>
    <ul class="legend" aria-label="Marks">${used.map(([name, shape]) => html`<li><svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true"><${Mark} shape=${shape} /></svg>${name}</li>`)}</ul>
    <details><summary>${count(events.length, "event")}${older ? `, of which the picture has the latest ${points.length}` : ""}, as a list</summary>
      <ol class="told-all">${events.toReversed().map((e) => html`<li>${tell(e)}</li>`)}</ol></details>
  </div>`;
};
