// The space's clock.
import { html, useEffect, useState } from "./preact.js";
import { call, useAct } from "./api.js";
import { day, Field, inWords, say, second, Trouble, useFirstWrong, When } from "./parts.js";

const steps = [[60, "1 minute"], [300, "5 minutes"], [3600, "1 hour"], [86400, "1 day"]];

// useTime is the time of the clock as it goes on here, asked being when the clock was asked.
export const useTime = (clock) => {
  const [, tick] = useState();
  const [asked, note] = useState();
  useEffect(() => note(performance.now()), [clock]);
  useEffect(() => {
    if (!clock?.running) return undefined;
    const timer = setInterval(() => tick({}), 1000);
    return () => clearInterval(timer);
  }, [clock?.running]);
  return clock && new Date(Date.parse(clock.now) + (clock.running && asked ? performance.now() - asked : 0));
};

// apart is how a time stands to this computer's.
const apart = (time) => {
  const seconds = Math.round((time - Date.now()) / 1000);
  return Math.abs(seconds) < 10 ? "as on this computer" : `${inWords(Math.abs(seconds))} ${seconds > 0 ? "ahead of" : "behind"} this computer`;
};

// Time is what the clock says, a link to it where one is wanted, and how it stands.
export const Time = ({ clock, href }) => {
  const time = useTime(clock);
  return time && html`${href ? html`<a href=${href}><${When} at=${time} /></a>` : html`<${When} at=${time} />`} <span class="soft">${clock.running ? "" : "stands still, "}${apart(time)}</span>`;
};

export const Clock = ({ clock }) => {
  const [act, problem, busy] = useAct();
  const [wanted, want] = useState("");
  const form = useFirstWrong(problem);
  const running = clock.data?.running;
  const move = (change, told) => act(async () => { const moved = await call("POST", "clock", change); clock.tell(moved); say(`${told} It is ${day(moved.now)} ${second(moved.now)} UTC.`); });
  const set = (e) => { e.preventDefault(); move({ now: wanted + (wanted.length === 16 ? ":00Z" : "Z") }, "The clock is set."); };
  return html`<section aria-labelledby="at-clock">
    <h2 id="at-clock" tabindex="-1">Clock</h2>
    <p>Tokens, links, sessions, records of repeated requests and windows of messages expire by it, in this space alone.</p>
    <${Trouble} problem=${clock.problem} again=${clock.ask} />
    ${clock.data && html`<p class="time"><${Time} clock=${clock.data} /></p>`}
    <div class="acts" role="group" aria-label="Advance">${steps.map(([advanceSeconds, name]) => html`<button type="button" disabled=${busy} onClick=${() => move({ advanceSeconds }, `${name} later.`)}>+ ${name}</button>`)}</div>
    <div class="acts" role="group" aria-label="Run">
      ${running === false ? html`<button type="button" class="quiet" disabled=${busy} onClick=${() => move({ running: true }, "The clock runs.")}>Let it run</button>`
        : html`<button type="button" class="quiet" disabled=${busy} onClick=${() => move({ running: false }, "The clock stands still.")}>Stop it</button>`}
      <button type="button" class="quiet" disabled=${busy} onClick=${() => move({ reset: true }, "The clock is right.")}>Put it right</button>
    </div>
    <form ref=${form} class="form" aria-labelledby="set-clock" onSubmit=${set}>
      <h3 id="set-clock">Set it</h3>
      <${Field} label="Time, in UTC" type="datetime-local" step="1" required value=${wanted} onInput=${(e) => want(e.currentTarget.value)} error=${problem?.of("/now")} />
      <p><button disabled=${busy}>Set the clock</button></p>
    </form>
    <${Trouble} problem=${problem?.of("/now") ? undefined : problem} />
  </section>`;
};
