// The spaces, what may be done with the one of the page, and snapshots.
import { html, useState } from "./preact.js";
import { call, here, pageOf, root, server, space, useAct } from "./api.js";
import { Copy, Field, say, Sure, Trouble, useFirstWrong, When } from "./parts.js";

const apiOf = new URL("sandbox/", root); // spaces and snapshots are the server's, whatever space the page is in

const Space = ({ of: { id, url, createdAt, expiresAt }, onDone }) => {
  const [act, problem, busy] = useAct();
  const remove = () => act(async () => {
    await call("DELETE", "spaces/" + id, undefined, apiOf);
    say(`The space ${id} is removed.`);
    if (id === space) location.assign(pageOf(""));
    else await onDone();
  });
  return html`<tr class=${id === space ? "current" : ""}>
    <th scope="row"><a href=${pageOf(id)} aria-current=${id === space ? "true" : undefined}>${id || "first"}</a>${id === space && html` <span class="tag good">this one</span>`}</th>
    <td data-label="Made">${createdAt ? html`<${When} at=${createdAt} />` : "with the server"}</td>
    <td data-label="Gone">${expiresAt ? html`<${When} at=${expiresAt} />` : "never"}</td>
    <td class="acts"><${Copy} text=${url} what=${`the URL of ${id || "the first space"}`}>Copy the URL</${Copy}>${id && html` <${Sure} label="Remove" name=${`Remove the space ${id}`} ask=${`Remove ${id}?`} yes="Remove" busy=${busy} onYes=${remove} />`}<${Trouble} problem=${problem} /></td>
  </tr>`;
};

const NewSpace = ({ snapshots, onDone }) => {
  const [draft, set] = useState({ id: "", snapshot: "" });
  const [made, setMade] = useState();
  const [act, problem, busy] = useAct();
  const form = useFirstWrong(problem);
  const field = (name) => ({ value: draft[name], onInput: (e) => set({ ...draft, [name]: e.currentTarget.value }) });
  const send = (e) => {
    e.preventDefault();
    act(async () => {
      const { id } = await call("POST", "spaces", Object.fromEntries(Object.entries(draft).filter(([, value]) => value)), apiOf);
      say(`The space ${id} is made.`);
      setMade(id);
      set({ id: "", snapshot: "" });
      await onDone();
    });
  };
  const ofID = problem?.of("/id", "duplicate"), ofSnapshot = problem?.of("/snapshot", "not_found");
  return html`<form ref=${form} class="form" aria-labelledby="new-space" onSubmit=${send}>
    <h3 id="new-space">Make a space</h3>
    <div class="fieldrow">
      <${Field} label="Id of the space" ...${field("id")} maxlength="40" error=${ofID} autocomplete="off" spellcheck=${false} placeholder="one that is drawn" hint="Lower case letters, digits, hyphens" />
      <${Field} as="select" label="It begins with" ...${field("snapshot")} error=${ofSnapshot}><option value="">The fixtures</option>${snapshots.map((s) => html`<option value=${s.id}>The snapshot ${s.id}</option>`)}<//>
    </div>
    <${Trouble} problem=${ofID || ofSnapshot ? undefined : problem} />
    <p class="acts"><button disabled=${busy}>Make the space</button>${made && html` <a href=${pageOf(made)}>Go to ${made}</a>`}</p>
  </form>`;
};

const Snapshot = ({ of: { id, space: from, createdAt }, onDone, onRestored }) => {
  const [act, problem, busy] = useAct();
  const restore = () => act(async () => { await call("POST", `snapshots/${id}/restore`); say(`This space is as it was in ${id}.`); await onRestored(); });
  const remove = () => act(async () => { await call("DELETE", "snapshots/" + id, undefined, apiOf); say(`The snapshot ${id} is removed.`); await onDone(); });
  return html`<tr>
    <th scope="row">${id}</th><td data-label="Of">${from ?? "first"}</td><td data-label="Kept"><${When} at=${createdAt} /></td>
    <td class="acts"><${Sure} label="Restore here" name=${`Restore here: ${id}`} ask=${`Make this space what ${id} holds?`} yes="Restore" busy=${busy} onYes=${restore} /> <${Sure} label="Remove" name=${`Remove the snapshot ${id}`} ask=${`Remove ${id}?`} yes="Remove" busy=${busy} onYes=${remove} /><${Trouble} problem=${problem} /></td>
  </tr>`;
};

const NewSnapshot = ({ onDone }) => {
  const [id, set] = useState("");
  const [act, problem, busy] = useAct();
  const form = useFirstWrong(problem);
  const send = (e) => { e.preventDefault(); act(async () => { await call("POST", "snapshots", { id }); say(`This space is kept as ${id}.`); set(""); await onDone(); }); };
  const error = problem?.of("/id", "duplicate");
  return html`<form ref=${form} class="form" aria-labelledby="new-snapshot" onSubmit=${send}>
    <h3 id="new-snapshot">Keep this space as it is</h3>
    <${Field} label="Id of the snapshot" required maxlength="40" value=${id} onInput=${(e) => set(e.currentTarget.value)} error=${error} autocomplete="off" spellcheck=${false} hint="Lower case letters, digits, hyphens" />
    <${Trouble} problem=${error ? undefined : problem} />
    <p><button disabled=${busy}>Keep a snapshot</button></p>
  </form>`;
};

export const Spaces = ({ spaces, snapshots, onReset, onRestored }) => {
  const [act, problem, busy] = useAct();
  const reset = () => act(async () => { await call("POST", "reset"); say("The space is as at first."); await onReset(); });
  const others = spaces.data?.spaces, kept = snapshots.data?.snapshots;
  return html`<section aria-labelledby="at-spaces">
    <h2 id="at-spaces" tabindex="-1">Spaces</h2>
    <p>Each has programs, clients, cards, a clock, rules and a journal of its own. This page is in ${space ? html`<b>${space}</b>` : "the first one"}: calls choose it by <code>${server.href}</code>${space && html`, the header <code>PinVault-Space: ${space}</code>`} or its own <a href=${new URL("fixtures", here)}>credentials</a>.</p>
    <p class="acts"><${Sure} label="Reset this space" ask="Forget all that was done in this space?" yes="Reset" busy=${busy} onYes=${reset} /></p>
    <${Trouble} problem=${problem} />
    <${Trouble} problem=${spaces.problem} again=${spaces.ask} />
    <table class="stack rows"><thead><tr><th scope="col">Space</th><th scope="col">Made</th><th scope="col">Gone</th><th scope="col"><span class="heard">Actions</span></th></tr></thead>
      <tbody><${Space} key="" of=${{ id: "", url: root.href }} />${others?.map((s) => html`<${Space} key=${s.id} of=${s} onDone=${spaces.ask} />`)}</tbody></table>
    ${others && !others.length && html`<p class="empty">Only the first space is there. Make one for a test that must be alone; it takes milliseconds.</p>`}
    <${NewSpace} snapshots=${kept ?? []} onDone=${spaces.ask} />
    <h2>Snapshots</h2>
    <p>What a space's database holds, to begin a space with or to go back to. Clock, rules and journal are not kept.</p>
    <${Trouble} problem=${snapshots.problem} again=${snapshots.ask} />
    ${kept && !kept.length && html`<p class="empty">None is kept. Bring the cards into the state that a test needs, and keep it below.</p>`}
    ${kept?.length > 0 && html`<table class="stack rows"><thead><tr><th scope="col">Snapshot</th><th scope="col">Of</th><th scope="col">Kept</th><th scope="col"><span class="heard">Actions</span></th></tr></thead>
      <tbody>${kept.map((s) => html`<${Snapshot} key=${s.id} of=${s} onDone=${snapshots.ask} onRestored=${onRestored} />`)}</tbody></table>`}
    <${NewSnapshot} onDone=${snapshots.ask} />
  </section>`;
};
