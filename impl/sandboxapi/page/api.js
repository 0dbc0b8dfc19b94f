// The API of openapi/sandbox.yaml, asked of the server that the page comes from. All URLs hang on the page's own, so that
// they are right behind any prefix, and in the space whose page it is.
import { useCallback, useEffect, useRef, useState } from "./preact.js";

export const here = new URL("sandbox/", document.baseURI);
const within = here.pathname.match(/^(.*\/)spaces\/([^/]+)\/sandbox\/$/);

// space is the id of the page's space, "" for the first one.
export const space = within?.[2] ?? "";

// root is the server's URL in the first space, server in the page's own.
export const root = new URL(within?.[1] ?? "../", here);
export const server = new URL("../", here);

export const pageOf = (id) => new URL(id ? `spaces/${id}/sandbox` : "sandbox", root).href;

// docsOf is where a link of the API into the documentation leads.
export const docsOf = (link) => /^https?:/.test(link) ? link : new URL(link.replace(/^\//, ""), root).href;

// Problem is what the server refused, or that it did not answer.
export class Problem extends Error {
  constructor(status, { title, code = "", errors = [] }) {
    super(errors.length ? errors.map((e) => e.detail).join(" ") : title);
    Object.assign(this, { status, code, errors });
  }

  // of is what is said of a field, by its pointer; codes are those that are about it.
  of(field, ...codes) {
    return this.errors.find((e) => e.field === field)?.detail ?? (codes.includes(this.code) ? this.message : undefined);
  }
}

// call sends a call and returns what its JSON says, undefined of none.
export const call = async (method, path, body, base = here) => {
  let reply;
  try {
    reply = await fetch(new URL(path, base), { method, body: body && JSON.stringify(body), headers: body ? { "Content-Type": "application/json" } : {} });
  } catch {
    throw new Problem(0, { title: "The server does not answer. Look whether it runs." });
  }
  const text = await reply.text();
  let said;
  try { said = text ? JSON.parse(text) : undefined; } catch { /* no JSON: a proxy's page, perhaps */ }
  if (!reply.ok) throw new Problem(reply.status, said?.title ? said : { title: `The server answered ${reply.status}.` });
  return said;
};

// useAsked is what a GET says: data, or the problem; ask asks again, and tell takes what another call has said of it. It is
// first asked once it is wanted. Of several calls under way the one that was sent last counts.
export const useAsked = (path, { base = here, wanted = true } = {}) => {
  const [answer, set] = useState({});
  const last = useRef(0);
  const ask = useCallback(async () => {
    const number = ++last.current;
    let next;
    try { next = { data: await call("GET", path, undefined, base) }; } catch (problem) { next = { problem }; }
    if (number === last.current) set(next);
  }, [path]);
  useEffect(() => { if (wanted) ask(); }, [ask, wanted]);
  const tell = (data) => { last.current++; set({ data }); };
  return { ...answer, ask, tell };
};

// useAct runs one thing at a time: [act, problem, busy]. What goes wrong in it is the problem, until the next time.
export const useAct = () => {
  const [state, set] = useState({ busy: false });
  const act = async (does) => {
    set({ busy: true });
    try { await does(); set({ busy: false }); } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      set({ busy: false, problem });
    }
  };
  return [act, state.problem, state.busy];
};
